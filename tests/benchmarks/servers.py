"""The servers that are compared, each in a process of its own on one core."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
from baking import project_environment
from faults.postgres_process import free_port, wait_until

APPS = Path(__file__).parent / "apps"
LOAD = Path(__file__).parent / "load.py"

# Servers have the first core, and load and PostgreSQL the others.
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
SERVER_CORES, LOAD_CORES = (CORES[:1], CORES[1:]) if len(CORES) > 1 else ([], [])


@dataclass(frozen=True)
class Result:
    """What one round of load has shown. Times are in milliseconds, CPU time in microseconds.

    `busy` is the CPU time of the server in relation to the time that passed, and `load_busy` that
    of the load's process. A server on one core that is much below 1 waits for PostgreSQL, for the
    load, or for whoever else has its core: only its CPU time tells about itself then.
    """

    requests_per_second: float
    p50: float
    p99: float
    cpu_per_request: float
    busy: float
    load_busy: float
    statuses: dict[str, int]

    @classmethod
    def of(cls, figures: dict[str, Any], cpu_seconds: float) -> "Result":
        latencies: list[float] = figures["latencies"]
        number = len(latencies)
        return cls(
            requests_per_second=number / figures["seconds"],
            p50=latencies[number // 2],
            p99=latencies[number * 99 // 100],
            cpu_per_request=cpu_seconds / number * 1e6,
            busy=cpu_seconds / figures["seconds"],
            load_busy=figures["cpu_seconds"] / figures["seconds"],
            statuses=figures["statuses"],
        )


@dataclass(frozen=True)
class Server:
    """A running server."""

    port: int
    process: psutil.Process

    def load(
        self, request: str, *, connections: int, seconds: float, ok: Sequence[str] = ("200", "201")
    ) -> Result:
        """Put load on the server. Fails unless every response has one of the statuses `ok`."""
        before = self._cpu_seconds()
        wanted = {
            "port": self.port,
            "connections": connections,
            "seconds": seconds,
            "request": request,
        }
        completed = subprocess.run(
            [sys.executable, LOAD],
            input=json.dumps(wanted),
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=on_cores(LOAD_CORES),
        )
        assert completed.returncode == 0, completed.stderr
        result = Result.of(json.loads(completed.stdout), self._cpu_seconds() - before)
        assert result.statuses.keys() <= set(ok), result
        return result

    def rss(self) -> float:
        """Return the memory of the largest of the server's processes, in MiB."""
        return max(process.memory_info().rss for process in self._processes()) / 2**20

    def _cpu_seconds(self) -> float:
        times = [process.cpu_times() for process in self._processes()]
        return float(sum(time.user + time.system for time in times))

    def _processes(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]


def on_cores(cores: list[int]) -> Callable[[], None] | None:
    return (lambda: os.sched_setaffinity(0, cores)) if cores else None


@contextmanager
def serving(
    project: Path,
    app: str,
    environment: dict[str, str],
    *,
    options: Sequence[str] = (),
    command: Sequence[str] = (".venv/bin/uvicorn",),
    cores: list[int] = SERVER_CORES,
) -> Iterator[Server]:
    """Serve an app with a project's environment until the block ends."""
    port = free_port()
    process = subprocess.Popen(
        [*command, app, "--port", str(port), *(options or ("--no-access-log",))],
        cwd=project,
        env=project_environment(environment | {"PYTHONPATH": str(APPS)}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        preexec_fn=on_cores(cores),  # noqa: PLW1509 (nothing here has threads)
    )
    try:
        wait_until(lambda: responds(port, process), f"{app} starts")
        yield Server(port, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait(10)


def responds(port: int, process: "subprocess.Popen[bytes]") -> bool:
    if process.poll() is not None:
        assert process.stderr
        raise AssertionError(process.stderr.read().decode())
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/live", trust_env=False).is_success
    except httpx.TransportError:
        return False
