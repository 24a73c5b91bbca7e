"""A service that stops sends what is left, and is gone before it is killed."""

import logging
import os
import re
import socket
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, Final

import pytest
import yaml
from fastapi import FastAPI
from opentelemetry import trace

from app.core.config import Settings
from app.core.env_file import PROJECT
from app.core.observability import shutdown
from app.core.observability.logs import make_handler
from app.core.observability.shutdown import ShutdownDeadline

# Without more words `docker stop` waits that long for a container.
DOCKER: Final = 10


def test_all_have_one_deadline_and_nobody_takes_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    clock = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr(shutdown, "time", clock)
    monkeypatch.setattr(shutdown, "SECONDS", 4)
    deadline = ShutdownDeadline()

    now[0] = 200.0  # the service has run meanwhile
    assert deadline.share() == 2
    now[0] += 2  # the first one hangs
    assert deadline.share() == 1
    now[0] += 0.5
    assert deadline.remaining() == 1.5
    now[0] += 9
    assert deadline.share() == deadline.remaining() == 0


@contextmanager
def silent() -> Generator[str]:
    """Listen on a port, whose number is yielded, accept connections and say nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def unread_log(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """Let the root logger write to a pipe that nobody reads before the block ends."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as file, os.fdopen(reader, "rb", buffering=0) as end:
        monkeypatch.setattr(sys, "stdout", file)
        handler = make_handler()
        logging.getLogger().addHandler(handler)
        yield
        logging.getLogger().removeHandler(handler)
        while handler.is_queued:
            end.read(2**20)
            handler.stop_queue(0.1)
        monkeypatch.undo()


@pytest.mark.usefixtures("environment")
async def test_receivers_that_hang_do_not_add_up(
    app_with_routers: Callable[..., FastAPI], monkeypatch: pytest.MonkeyPatch
) -> None:
    with silent() as collector, silent() as sentry, pytest.MonkeyPatch.context() as patch:
        app = app_with_routers(
            otel_exporter_otlp_endpoint=f"http://{collector}", sentry_dsn=f"http://key@{sentry}/7"
        )
        monkeypatch.setattr(shutdown, "SECONDS", 0.2)
        with unread_log(patch):
            async with app.router.lifespan_context(app):
                trace.get_tracer(__name__).start_span("one").end()
                logging.getLogger("app").error("a bug", exc_info=LookupError())
                for _ in range(100):
                    logging.getLogger("app").error("x" * 1000)
                began = time.monotonic()
            seconds = time.monotonic() - began

    assert 0.15 < seconds < 2  # each of them would wait for as long


def test_containers_have_time_to_stop() -> None:
    """In the order of events: draining, requests in flight or jobs, and then what is left to send."""
    (finishing,) = re.findall(
        r"--timeout-graceful-shutdown (\d+)", (PROJECT / "Dockerfile").read_text(encoding="utf-8")
    )
    serving = int(finishing) + shutdown.SECONDS
    compose = yaml.safe_load((PROJECT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    grace = {
        name: int(one["stop_grace_period"].removesuffix("s"))
        for name, one in compose.items()
        if "stop_grace_period" in one
    }

    assert serving + 1 <= DOCKER  # a second for the connections of the database
    assert Settings.model_fields["database_deadline"].default < int(finishing)
    assert grace.keys() == {"api", "api-2", "worker"}
    assert grace["api"] == grace["api-2"] > longest("drain_seconds") + serving
    assert grace["worker"] > longest("worker_stop_seconds") + shutdown.SECONDS
    jobs = of_pods("WORKER_STOP_SECONDS") + 2  # with WORKER_IN_SERVICE, while PostgreSQL is away
    assert pod_grace("deployment") > of_pods("DRAIN_SECONDS") + serving + jobs
    assert pod_grace("worker") > of_pods("WORKER_STOP_SECONDS") + shutdown.SECONDS


def longest(setting: str) -> float:
    """Return the maximum of a setting."""
    bounds = [getattr(bound, "le", None) for bound in Settings.model_fields[setting].metadata]
    (found,) = [bound for bound in bounds if bound]
    return float(found)


def pod_grace(name: str) -> int:
    path = PROJECT / "deploy" / "kubernetes" / "base" / f"{name}.yaml"
    pod: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["spec"]["template"]
    return int(pod["spec"]["terminationGracePeriodSeconds"])


def of_pods(setting: str) -> float:
    path = PROJECT / "deploy" / "kubernetes" / "base" / "settings.env"
    (value,) = re.findall(rf"(?m)^{setting}=(.+)$", path.read_text(encoding="utf-8"))
    return float(value)
