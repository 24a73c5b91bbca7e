"""Traces, as a receiver of OTLP gets them."""

import asyncio
import logging
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, BackgroundTasks, FastAPI
from opentelemetry import trace
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from sqlalchemy import text

from app.cli.main import check_command
from app.core.config import ConfigurationError, Settings, load_settings
from app.core.env_file import PROJECT
from app.core.http.edge import EdgeRoute
from app.core.observability import shutdown
from app.core.observability.line_formats import LINE_CONTEXT
from app.core.observability.metrics.folder import share_metrics
from app.core.observability.telemetry import trace_headers
from app.dependencies.database import DatabaseDep, SessionDep
from app.exceptions import NotFoundError
from tests.conftest import http_client
from tests.platform.conftest import VARIABLES
from tests.platform.observability.receivers import Received, attributes, receiver
from tests.platform.observability.served import served

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT_ID = "b7ad6b7169203331"
CALLER = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01"}
UNTRACED = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-00"}
SECRET = "hunter2-of-a-client"

router = APIRouter(prefix="/things", route_class=EdgeRoute)


@router.get("/{thing_id}")
async def get_thing(thing_id: int, session: SessionDep) -> object:
    await session.execute(text("SELECT :secret"), {"secret": SECRET})
    return await session.scalar(text("SELECT count(*) FROM users WHERE id = :id"), {"id": thing_id})


@router.post("/{thing_id}/tasks")
async def start_task(thing_id: int, tasks: BackgroundTasks, database: DatabaseDep) -> None:
    async def work() -> None:
        async with database.read() as session:
            await session.execute(text("SELECT 'in the background'"))

    tasks.add_task(work)


@router.get("/{thing_id}/absent")
async def miss_thing(thing_id: int) -> None:
    raise NotFoundError(f"Thing {thing_id} not found")


@router.get("/{thing_id}/bug")
async def fail(thing_id: int) -> None:
    raise LookupError(SECRET)


@router.get("/{thing_id}/wrong-statement")
async def fail_in_statement(thing_id: int, session: SessionDep) -> None:
    await session.execute(text("SELECT CAST(:secret AS text)::int"), {"secret": SECRET})


@router.get("/{thing_id}/long-statement")
async def run_long_statement(thing_id: int, session: SessionDep) -> None:
    await session.execute(text(f"SELECT {'1 + ' * 1000} 1"))


@router.get("/{thing_id}/ids")
async def show_ids(thing_id: int) -> dict[str, Any]:
    with trace.get_tracer("own").start_as_current_span("own work"):
        headers = trace_headers()
    return headers | {name: value for one in LINE_CONTEXT for name, value in one().items()}


@pytest.fixture
def collector(environment: None) -> Generator[Received]:
    with receiver() as received:
        yield received


@pytest.fixture
def traced(app_with_routers: Callable[..., FastAPI], collector: Received) -> Callable[..., Any]:
    """Open a client of an app that sends its spans to the collector when the block ends."""

    @asynccontextmanager
    async def open_client(**changes: object) -> AsyncGenerator[httpx.AsyncClient]:
        changes = {"otel_exporter_otlp_endpoint": collector.url} | changes
        app = app_with_routers(router, **changes)
        async with (
            app.router.lifespan_context(app),
            http_client(app, raises=False) as client,
        ):
            # Opens a connection, with statements of its own.
            await client.get(f"{app.state.settings.api_prefix}/things/0", headers=UNTRACED)
            yield client

    return open_client


def child_of(span: Span, parent: Span) -> bool:
    return (span.trace_id, span.parent_span_id) == (parent.trace_id, parent.span_id)


async def test_request_is_a_span_with_its_statements_below(
    traced: Callable[..., Any], collector: Received
) -> None:
    async with traced(api_prefix="/api/v1") as client:
        response = await client.get(f"/api/v1/things/7?key={SECRET}")

    assert response.status_code == 200
    span = collector.span("GET /api/v1/things/{thing_id}")
    assert span.kind == Span.SPAN_KIND_SERVER
    assert span.parent_span_id == b""
    assert span.status.code == Status.STATUS_CODE_UNSET
    assert attributes(span.attributes) == {
        "http.request.method": "GET",
        "http.route": "/api/v1/things/{thing_id}",
        "http.response.status_code": 200,
        "http.response.header.x-request-id": [response.headers["x-request-id"]],
        "url.path": "/api/v1/things/7",
        "url.query": "REDACTED",
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "server.address": "test",
        "server.port": 80,
    }
    statement = collector.span("SELECT users")
    assert child_of(statement, span)
    assert child_of(collector.span("SELECT"), span)
    assert statement.kind == Span.SPAN_KIND_CLIENT
    assert span.start_time_unix_nano <= statement.start_time_unix_nano
    assert statement.start_time_unix_nano < statement.end_time_unix_nano <= span.end_time_unix_nano
    found = attributes(statement.attributes)
    assert re.fullmatch(r"SELECT count\(\*\) FROM users WHERE id = \S+", found.pop("db.query.text"))
    assert found.keys() == {"db.system.name", "db.namespace", "db.operation.name"} | {
        "server.address",
        "server.port",
    }


async def test_nothing_that_a_client_keeps_secret_is_in_a_span(
    traced: Callable[..., Any], collector: Received, admin_headers: dict[str, str]
) -> None:
    secret = {"X-Api-Key": SECRET, "Cookie": SECRET, "Referer": SECRET}
    async with traced() as client:
        await client.get(f"/things/7?key={SECRET}", headers=secret)
        await client.get("/things/7/wrong-statement", headers=secret)
        await client.get("/things/7/bug", headers=secret)
        await client.post("/things/7/tasks", json={"secret": SECRET}, headers=secret)
        await client.get("/users", params={"q": SECRET}, headers=admin_headers)

    assert {"GET /users", "POST /things/{thing_id}/tasks"} <= {one.name for one in collector.spans}
    sent = b"".join(collector.bodies)
    assert SECRET.encode() not in sent
    for value in admin_headers.values():
        assert value.split()[-1].encode() not in sent


async def test_trace_of_the_caller_goes_on(traced: Callable[..., Any], collector: Received) -> None:
    async with traced() as client:
        shown = (await client.get("/things/7/ids", headers=CALLER)).json()

    span = collector.span("GET /things/{thing_id}/ids")
    assert span.trace_id.hex() == TRACE_ID
    assert span.parent_span_id.hex() == PARENT_ID
    assert (shown["trace_id"], shown["span_id"]) == (TRACE_ID, span.span_id.hex())
    # To the next service, as a child of the span around the call.
    version, trace_id, parent_id, flags = shown["traceparent"].split("-")
    assert (version, trace_id, flags) == ("00", TRACE_ID, "01")
    assert len(parent_id) == 16


@pytest.mark.parametrize("value", ["00-zz", f"00-{'0' * 32}-{'0' * 16}-01", "\xff", "a" * 9000])
async def test_caller_that_names_no_trace_gets_one(
    traced: Callable[..., Any], collector: Received, value: str
) -> None:
    async with traced() as client:
        await client.get("/things/7/absent", headers={"traceparent": value.encode("latin-1")})

    assert collector.span("GET /things/{thing_id}/absent").parent_span_id == b""


async def test_caller_decides_whether_a_trace_is_recorded(
    traced: Callable[..., Any], collector: Received
) -> None:
    async with traced() as client:
        await client.get("/things/7", headers=UNTRACED)
    assert collector.bodies == []

    async with traced(otel_traces_sampler="always_off") as client:
        await client.get("/things/7", headers=CALLER)
    assert collector.bodies == []


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/things/7/absent", 404, None),
        ("/things/x", 422, None),
        ("/nowhere/7", 404, None),
        ("/things/7/bug", 500, "500"),
    ],
)
async def test_failure_of_the_service_is_an_error_and_that_of_the_client_is_none(
    traced: Callable[..., Any], collector: Received, path: str, status: int, error: str | None
) -> None:
    async with traced() as client:
        response = await client.get(path)

    assert response.status_code == status
    (span,) = collector.spans
    found = attributes(span.attributes)
    assert found["http.response.status_code"] == status
    assert found.get("error.type") == error
    assert (span.status.code == Status.STATUS_CODE_ERROR) is bool(error)
    assert span.status.message == ""
    assert span.name == f"GET {found['http.route']}" if "http.route" in found else "GET"


async def test_statement_that_fails_is_an_error(
    traced: Callable[..., Any], collector: Received
) -> None:
    async with traced() as client:
        await client.get("/things/7/wrong-statement")

    span = collector.span("SELECT")
    assert span.status.code == Status.STATUS_CODE_ERROR
    assert attributes(span.attributes)["error.type"] == "22P02"  # invalid text representation


async def test_long_texts_are_cut(traced: Callable[..., Any], collector: Received) -> None:
    async with traced() as client:
        await client.get(f"/things/{'7' * 5000}")
        await client.get("/things/7/long-statement")

    for name, attribute in (("GET /things/{thing_id}", "url.path"), ("SELECT", "db.query.text")):
        assert len(attributes(collector.span(name).attributes)[attribute]) == 2000


async def test_background_task_belongs_to_the_trace_of_its_request(
    traced: Callable[..., Any], collector: Received
) -> None:
    async with traced() as client:
        await client.post("/things/7/tasks")

    request = collector.span("POST /things/{thing_id}/tasks")
    statement = collector.span("SELECT")
    assert child_of(statement, request)
    assert statement.start_time_unix_nano >= request.end_time_unix_nano  # after the response


async def test_requests_at_the_same_time_keep_their_statements_apart(
    traced: Callable[..., Any], collector: Received
) -> None:
    async with traced() as client:
        await asyncio.gather(*(client.get(f"/things/{number}") for number in range(5)))

    requests = {
        span.span_id: span for span in collector.spans if span.kind == span.SPAN_KIND_SERVER
    }
    assert len(requests) == 5
    for parent in requests.values():
        children = [span for span in collector.spans if child_of(span, parent)]
        assert [span.name for span in children] == ["SELECT", "SELECT users"]


async def test_probes_are_not_traced_nor_what_they_do(
    traced: Callable[..., Any], collector: Received
) -> None:
    async with traced() as client:
        for path in ("/health/live", "/health/ready", "/metrics"):
            await client.get(path, headers=CALLER)

    assert collector.bodies == []


async def test_unknown_method_is_not_named(traced: Callable[..., Any], collector: Received) -> None:
    async with traced() as client:
        await client.request("BREW", "/things/7")

    (span,) = collector.spans
    assert span.name.startswith("HTTP")
    assert attributes(span.attributes)["http.request.method"] == "_OTHER"


async def test_variables_of_opentelemetry_hold_wherever_they_are_set(
    traced: Callable[..., Any], collector: Received, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / ".env"
    required = "".join(f"{name}={value}\n" for name, value in VARIABLES.items())
    file.write_text(
        f"{required}OTEL_SERVICE_NAME=shop\n"
        "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=staging\n"
        "OTEL_EXPORTER_OTLP_HEADERS=api-key=of%20the%20collector\n"
    )
    monkeypatch.setenv("ENV_FILE", str(file))
    changes = load_settings(Settings).model_dump(exclude_unset=True)
    async with traced(**{n: v for n, v in changes.items() if n.startswith("otel_")}) as client:
        await client.get("/things/7/absent")

    assert collector.paths == ["/v1/traces"]
    assert collector.headers[0]["api-key"] == "of the collector"
    assert collector.resource["service.name"] == "shop"
    assert collector.resource["deployment.environment.name"] == "staging"


async def test_baggage_of_a_client_is_ignored(
    traced: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    baggage = ",".join(["known=1", "broken"] * 90)
    async with traced() as client:
        shown = await client.get("/things/7/ids", headers={**CALLER, "baggage": baggage})

    assert "traceparent" in shown.json()
    assert "baggage" not in shown.json()
    assert not [record for record in caplog.records if "baggage" in record.name]


async def test_service_is_named_as_the_project(
    traced: Callable[..., Any], collector: Received
) -> None:
    async with traced() as client:
        app: Any = client._transport
        await client.get("/things/7/absent")

    assert collector.resource["service.name"] == app.app.title
    assert collector.resource["service.version"] == app.app.version


async def test_collector_that_is_down_costs_one_warning(
    traced: Callable[..., Any], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutdown, "SECONDS", 0.2)
    async with traced(otel_exporter_otlp_endpoint="http://127.0.0.1:9") as client:
        assert (await client.get("/things/7")).status_code == 200

    exporter = "opentelemetry.exporter.otlp"
    lines = [record for record in caplog.records if record.name.startswith(exporter)]
    assert [line.levelno for line in lines] == [logging.WARNING]


async def test_collector_that_hangs_does_not_keep_the_service_from_stopping(
    traced: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutdown, "SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and says nothing
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with traced(otel_exporter_otlp_endpoint=url) as client:
            assert (await client.get("/things/7")).status_code == 200

        (sending,) = [thread for thread in threading.enumerate() if thread.name == "last spans"]
        assert sending.daemon
    sending.join()


def test_off_costs_nothing() -> None:
    """No optional package is imported, nor what it needs. FastAPI itself imports OpenTelemetry's API."""
    code = """
import asyncio, sys
from app.core.config import Settings
from app.core.observability.telemetry import trace_headers
from app.main import create_app

async def main():
    app = create_app(Settings(development=True, database_url="postgresql://127.0.0.1:9/app"))
    async with app.router.lifespan_context(app):
        assert trace_headers() == {}

asyncio.run(main())
packages = {
    "google",
    "opentelemetry.sdk",
    "requests",
    "sentry_sdk",
    "urllib3",
}
print(packages & sys.modules.keys())
"""
    completed = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        env=os.environ | VARIABLES,
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.stdout.splitlines()[-1:] == ["set()"], completed.stdout + completed.stderr


@pytest.mark.parametrize(
    ("variable", "value", "module", "extra"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318", "opentelemetry", "telemetry"),
        ("SENTRY_DSN", "https://key@sentry.example.com/1", "sentry_sdk", "sentry"),
    ],
)
def test_missing_package_is_a_sentence_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
    environment: None,
    variable: str,
    value: str,
    module: str,
    extra: str,
) -> None:
    for name, required in VARIABLES.items():
        monkeypatch.setenv(name, required)
    monkeypatch.setenv(variable, value)
    load_settings(Settings)

    def find(name: str) -> Any:
        return None if name.partition(".")[0] == module else find_spec(name)

    monkeypatch.setattr("app.core.telemetry_settings.find_spec", find)
    with pytest.raises(ConfigurationError, match=rf"{variable}: needs .*uv sync --extra {extra}"):
        load_settings(Settings)


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many", "OTEL_.*many"),
        ("OTEL_BSP_SCHEDULE_DELAY", "-1", "OTEL_.*schedule_delay"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "1", "OTEL_.*max_queue_size"),
        (
            "PROMETHEUS_MULTIPROC_DIR",
            f"{__file__}/metrics",
            "PROMETHEUS_MULTIPROC_DIR: .*Not a dir",
        ),
        ("PROMETHEUS_MULTIPROC_DIR", "/proc/self", "PROMETHEUS_MULTIPROC_DIR: .*is not writable"),
    ],
)
def test_check_finds_what_libraries_refuse(
    monkeypatch: pytest.MonkeyPatch, environment: None, variable: str, value: str, named: str
) -> None:
    share_metrics.cache_clear()
    needed = {"METRICS": "on", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    for name, given in (VARIABLES | needed | {variable: value}).items():
        monkeypatch.setenv(name, given)

    with pytest.raises(ConfigurationError, match=f"^{named}"):
        check_command()
    share_metrics.cache_clear()


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        (
            "OTEL_PROPAGATORS",
            "nosuch",
            "Error: Invalid settings (see .env.example):\nOTEL_PROPAGATORS: ",
        ),
        (
            "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
            "many",
            "Error: OTEL_*: OpenTelemetry refuses a variable: ",
        ),
    ],
)
def test_variable_that_opentelemetry_reads_where_it_is_imported_is_a_sentence_at_the_start(
    variable: str, value: str, sentence: str
) -> None:
    given = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", variable: value}
    completed = subprocess.run(
        [sys.executable, "-c", "import app.asgi"],
        cwd=PROJECT,
        env=os.environ | VARIABLES | given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.stderr.startswith(sentence)


async def test_every_line_of_a_request_names_its_trace(
    app_with_routers: Callable[..., FastAPI], collector: Received, lines: list[dict[str, Any]]
) -> None:
    """The server's line about an error too, which follows the span."""
    app = app_with_routers(router, otel_exporter_otlp_endpoint=collector.url)
    async with served(app) as client:
        response = await client.get("/things/7/bug", headers=CALLER)

    span = collector.span("GET /things/{thing_id}/bug")
    ids = (TRACE_ID, span.span_id.hex())
    assert logged(lines, response) == {"app.requests": ids, "uvicorn.error": ids}


def logged(lines: list[dict[str, Any]], response: httpx.Response) -> dict[str, Any]:
    """Return the loggers of a request's lines, with the trace and the span that the lines name."""
    request_id = response.headers["x-request-id"]
    return {
        line["logger"]: (line.get("trace_id"), line.get("span_id"))
        for line in lines
        if line.get("request_id") == request_id
    }
