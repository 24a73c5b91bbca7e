"""Each request leaves one line, and all lines of a request carry its id."""

import asyncio
import contextlib
import json
import logging
import threading
from collections.abc import AsyncGenerator, Callable
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import Mock

import httpx
import pytest
from fastapi import APIRouter, BackgroundTasks, FastAPI, Request, Response, WebSocket
from fastapi.responses import StreamingResponse
from sqlalchemy import text
from starlette.staticfiles import StaticFiles

from app.core.config import Settings
from app.core.database import Database
from app.core.http import route_templates
from app.core.http.edge import EdgeRoute
from app.core.http.route_templates import RouteTemplates
from app.core.observability.requests import current_request
from app.dependencies.database import SessionDep
from app.exceptions import UnavailableError
from tests.conftest import http_client
from tests.factories import Factory
from tests.platform.documents import PROJECT, blocks_of
from tests.platform.log_lines import Line
from tests.platform.observability.served import served
from tests.platform.probe import make_probe

log = logging.getLogger("app.of_a_test").info

router = APIRouter(prefix="/observed", route_class=EdgeRoute)


@router.get("/bugs/{bug_id}")
async def bug(bug_id: int) -> None:
    raise ZeroDivisionError(f"bug {bug_id}\nINFO: app: forged")


@router.get("/one/{name}")
@router.get("/other/{name}")
async def either(name: str) -> str:
    return name


@router.get("/unavailable/{kind}")
async def unavailable(kind: str) -> None:
    raise UnavailableError("not now", kind=kind)


@router.get("/sqlstates/{state}")
async def fail_in_database(state: str, session: SessionDep) -> None:
    await session.execute(
        text(f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{state}'; END $$")
    )


@router.post("/statements", status_code=201)
async def three_statements(session: SessionDep) -> int:
    for _ in range(3):
        await session.execute(text("SELECT 1"))
    return 3


@router.get("/tasks")
async def start_tasks(tasks: BackgroundTasks) -> None:
    log("in the handler")
    await asyncio.to_thread(log, "in a thread")
    await asyncio.create_task(asyncio.to_thread(log, "in a task"))
    tasks.add_task(log, "in the background")


@router.get("/streams")
async def stream() -> StreamingResponse:
    return StreamingResponse(iter([b"x" * 1000, b"y" * 500]))


@router.get("/broken-streams")
async def break_stream() -> StreamingResponse:
    async def parts() -> AsyncGenerator[bytes]:
        yield b"x" * 1000
        raise ZeroDivisionError

    return StreamingResponse(parts())


@router.get("/foreign-ids")
async def pass_on_an_id() -> Response:
    return Response(headers={"X-Request-ID": "of another service"})


@router.post("/bodies")
async def read(_body: dict[str, str]) -> None: ...


@router.get("/endless")
async def wait() -> None:
    await asyncio.Event().wait()


@router.get("/waits")
async def hold_connection(session: SessionDep) -> None:
    await session.execute(text("SELECT pg_sleep(0.05)"))


@router.websocket("/socket")
async def socket(socket: WebSocket) -> None:
    log("in a socket")
    await socket.accept()
    await socket.close()


@pytest.fixture(scope="session")
def observed_app(app_with_routers: Callable[..., FastAPI]) -> FastAPI:
    return app_with_routers(router)


@pytest.fixture
def observed(observed_app: FastAPI, database: Database) -> httpx.AsyncClient:
    observed_app.state.database = database
    return http_client(observed_app, raises=False)


def of_requests(lines: list[Line]) -> list[Line]:
    return [line for line in lines if line["logger"] == "app.requests"]


async def test_line_names_the_template_and_what_the_request_cost(
    live_probes: httpx.AsyncClient, make_live: Factory, lines: list[Line]
) -> None:
    probe = await make_probe(make_live)
    # The first connection of a process also asks for the version of PostgreSQL.
    await live_probes.get(f"/probes/{probe.id}")
    response = await live_probes.get(f"/probes/{probe.id}?x=1")

    _, line = of_requests(lines)
    assert list(line)[:4] == ["time", "level", "logger", "message"]
    assert line["message"] == "GET /probes/{probe_id} 200"
    assert line["route"] == "/probes/{probe_id}"
    assert (line["method"], line["status"], line["level"]) == ("GET", 200, "info")
    assert line["bytes"] == len(response.content)
    assert line["client"] == "127.0.0.1"
    assert line["statements"] == 1
    assert line["duration_ms"] > line["waited_ms"] == 0
    assert line["request_id"] == response.headers["x-request-id"]
    assert datetime.fromisoformat(line["time"]).utcoffset() == timedelta()
    assert "path" not in line
    (example,) = (block for block in blocks_of(PROJECT / "README.md") if block.language == "json")
    assert list(line) == list(json.loads(example.code))


@pytest.mark.parametrize(
    ("method", "path", "name", "size"),
    [
        ("GET", "/observed/one/a", "GET /observed/one/{name} 200", 3),
        ("GET", "/observed/other/a", "GET /observed/other/{name} 200", 3),
        ("HEAD", "/observed/other/a", "HEAD /observed/other/{name} 200", 0),
        ("PUT", "/observed/other/a", "PUT /observed/other/{name} 405", None),
        ("GET", "/observed/streams", "GET /observed/streams 200", 1500),
        ("GET", "/observed/bugs/7", "GET /observed/bugs/{bug_id} 500", None),
        ("GET", "/docs", "GET /docs 200", None),
        ("GET", "/nowhere/7", "GET (no route) 404", None),
        ("GET", "/nowhere/%0aINFO%1b[2K", "GET (no route) 404", None),
        ("GET", f"/nowhere/{'x' * 9000}", "GET (no route) 414", None),
        ("GET", f"/observed/one/a?{'x' * 9000}", "GET (no route) 414", None),
    ],
)
async def test_every_request_has_one_line_whose_name_holds_no_path(
    observed: httpx.AsyncClient,
    lines: list[Line],
    method: str,
    path: str,
    name: str,
    size: int | None,
) -> None:
    response = await observed.request(method, path)

    (line,) = of_requests(lines)
    assert line["message"] == name
    assert line["bytes"] == (len(response.content) if size is None else size)
    assert ("path" in line) == ("no route" in name)
    assert len(line.get("path", "")) <= 200
    assert line.get("path", "").isprintable()


async def test_template_has_the_prefix(
    app_with: Callable[..., FastAPI], database: Database, lines: list[Line]
) -> None:
    app = app_with(api_prefix="/api/v1")
    app.state.database = database
    async with http_client(app) as client:
        await client.get("/api/v1/users/1")

    assert of_requests(lines)[0]["route"] == "/api/v1/users/{user_id}"


async def test_mounted_application_has_a_template(
    app_with_routers: Callable[..., FastAPI], tmp_path: Any, lines: list[Line]
) -> None:
    (tmp_path / "7.txt").write_text("x")
    app = app_with_routers()
    app.mount("/files", StaticFiles(directory=tmp_path))
    inner = FastAPI()
    inner.add_api_route("/things/{thing_id}", either, methods=["GET"])
    app.mount("/inner", inner)
    async with http_client(app) as client:
        await client.get("/files/7.txt")
        await client.get("/inner/things/7?name=x")

    assert [line["route"] for line in of_requests(lines)] == [
        "/files/{path}",
        "/inner/things/{thing_id}",
    ]


async def test_probes_are_logged_for_debugging_only(
    anonymous: httpx.AsyncClient, lines: list[Line]
) -> None:
    await anonymous.get("/health/live")

    assert [line["level"] for line in of_requests(lines)] == ["debug"]


async def test_health_check_of_a_process_that_shuts_down_is_no_error(
    app_with_routers: Callable[..., FastAPI], database: Database, lines: list[Line]
) -> None:
    app = app_with_routers(log_level="DEBUG")
    app.state.database = database
    app.state.draining.started = True
    async with http_client(app) as client:
        response = await client.get("/health/ready")

    assert response.status_code == 503
    assert {line["level"] for line in lines} == {"debug"}


async def test_caller_is_named(
    probes: httpx.AsyncClient, admin_headers: dict[str, str], lines: list[Line]
) -> None:
    await probes.delete("/probes/1")
    (line,) = of_requests(lines)

    assert ("user_id" in line) == bool(admin_headers)


GIVEN = "01JD8W2K3C4D5E6F7G8H9JKMNP"


@pytest.mark.parametrize(
    ("sent", "is_taken"),
    [
        (GIVEN, True),
        ("a", True),
        ("x" * 128, True),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", True),
        ("", False),
        ("x" * 129, False),
        ("two words", False),
        ('x" user_id=1', False),
        ("x\x1b[2K", False),
        ("é", False),
    ],
)
async def test_id_of_the_client_is_taken_if_it_is_well_formed(
    observed: httpx.AsyncClient, sent: str, is_taken: bool
) -> None:
    response = await observed.get("/observed/one/a", headers={b"X-Request-ID": sent.encode()})
    (used,) = response.headers.get_list("x-request-id")

    assert (used == sent) == is_taken
    assert is_taken or (len(used) == 32 and int(used, 16))


@pytest.mark.parametrize(
    ("sent", "is_taken"),
    [(["first", "last"], True), (["not well-formed", "last"], True), (["first", "no id"], False)],
)
async def test_last_of_several_ids_counts(
    observed: httpx.AsyncClient, lines: list[Line], sent: list[str], is_taken: bool
) -> None:
    """The proxy that is nearest to the service has added it."""
    headers = [("X-Request-ID", each) for each in sent]
    response = await observed.get("/observed/one/a", headers=headers)
    (used,) = response.headers.get_list("x-request-id")

    assert (used == sent[-1]) == is_taken
    assert used != sent[0]
    assert of_requests(lines)[0]["request_id"] == used


def test_endpoints_that_no_route_names_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as those of an application that a mounted one hides: looking at all routes is slow."""
    look = Mock(return_value=())
    monkeypatch.setattr(route_templates, "iter_route_contexts", look)
    templates = RouteTemplates(FastAPI())

    endpoints = [object(), object()]
    found = [templates.of({"path": "/", "endpoint": endpoint}) for endpoint in endpoints * 3]

    assert found == [""] * 6
    assert look.call_count == 2


async def test_id_of_the_client_is_not_taken_if_a_setting_says_so(
    app_with: Callable[..., FastAPI],
) -> None:
    async with http_client(app_with(trust_request_id=False)) as client:
        headers = {"X-Request-ID": GIVEN}
        ids = {
            (await client.get("/health/live", headers=headers)).headers["x-request-id"]
            for _ in range(3)
        }

    assert GIVEN not in ids
    assert len(ids) == 3


@pytest.mark.parametrize(
    ("path", "options", "status"),
    [
        ("/nowhere", {}, 404),
        ("/observed/one/a", {"method": "PUT"}, 405),
        ("/observed/bugs/x", {}, 422),
        ("/observed/bugs/1", {}, 500),
        ("/observed/unavailable/pool", {}, 503),
        (f"/observed/one/a?{'x' * 9000}", {}, 414),
        ("/observed/statements", {"method": "POST", "content": b"x" * 70_000}, 413),
        ("/observed/one/a", {"headers": {"Host": "evil.example"}}, 400),
        (
            "/observed/one/a",
            {
                "method": "OPTIONS",
                "headers": {
                    "Origin": "https://evil.example",
                    "Access-Control-Request-Method": "GET",
                },
            },
            400,
        ),
    ],
)
async def test_every_problem_names_the_request(
    app_with_routers: Callable[..., FastAPI],
    database: Database,
    lines: list[Line],
    path: str,
    options: dict[str, Any],
    status: int,
) -> None:
    app = app_with_routers(
        router,
        database=database,
        allowed_hosts=("test",),
        cors_origins=("https://app.example.com",),
    )
    headers = {"X-Request-ID": GIVEN, **options.get("headers", {})}
    async with http_client(app, raises=False) as client:
        response = await client.request(
            **{"method": "GET", "url": path, **options, "headers": headers}
        )

    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["request_id"] == GIVEN
    assert response.headers.get_list("x-request-id") == [GIVEN]
    assert {line.get("request_id") for line in lines} == {GIVEN}


async def test_lines_of_what_a_request_starts_carry_its_id(
    observed: httpx.AsyncClient, lines: list[Line]
) -> None:
    await observed.get("/observed/tasks", headers={"X-Request-ID": GIVEN})
    thread = threading.Thread(target=log, args=["of nobody"])
    thread.start()
    thread.join()

    *of_request, of_nobody = lines
    assert [line["message"] for line in of_request] == [
        "in the handler",
        "in a thread",
        "in a task",
        "GET /observed/tasks 200",  # not delayed by what follows the response
        "in the background",
    ]
    assert {(line["request_id"], line["route"]) for line in of_request} == {
        (GIVEN, "/observed/tasks")
    }
    assert "request_id" not in of_nobody


async def test_lines_of_a_socket_carry_an_id(observed_app: FastAPI, lines: list[Line]) -> None:
    received = iter([{"type": "websocket.connect"}])

    async def receive() -> Any:
        return next(received)

    async def send(_message: Any) -> None: ...

    headers = [(b"x-request-id", GIVEN.encode())]
    path = "/observed/socket"
    scope = {"type": "websocket", "path": path, "query_string": b"", "headers": headers}
    await observed_app(scope, receive, send)

    assert [(line["message"], line["request_id"]) for line in lines] == [("in a socket", GIVEN)]


async def test_client_that_leaves_before_the_response_has_a_status_of_its_own(
    observed_app: FastAPI, lines: list[Line], database: Database
) -> None:
    observed_app.state.database = database
    received = iter(["http.request", "http.disconnect"])

    async def receive() -> Any:
        return {"type": next(received)}

    async def send(_message: Any) -> None:
        pytest.fail("nobody receives it")

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/observed/endless",
        "query_string": b"",
        "headers": [(b"host", b"test")],
    }
    await asyncio.wait_for(observed_app(scope, receive, send), 10)

    assert [line["message"] for line in of_requests(lines)] == ["GET /observed/endless 499"]


async def test_client_that_leaves_while_it_sends_has_a_status_of_its_own(
    observed_app: FastAPI, lines: list[Line], database: Database
) -> None:
    observed_app.state.database = database
    received = iter([{"type": "http.request", "body": b"{", "more_body": True}])

    async def receive() -> Any:
        return next(received, {"type": "http.disconnect"})

    async def send(_message: Any) -> None:
        """Drop it, as a server does."""

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/observed/bodies",
        "query_string": b"",
        "headers": [
            (b"host", b"test"),
            (b"content-type", b"application/json"),
            (b"content-length", b"9"),
        ],
    }
    await asyncio.wait_for(observed_app(scope, receive, send), 10)

    assert [line["message"] for line in of_requests(lines)] == ["POST /observed/bodies 499"]


async def test_response_that_breaks_off_is_told(
    observed: httpx.AsyncClient, lines: list[Line]
) -> None:
    await observed.get("/observed/broken-streams")

    (line,) = of_requests(lines)
    assert (line["status"], line["bytes"], line["outcome"]) == (200, 1000, "broken_off")


async def test_id_that_a_handler_passes_on_is_replaced(
    observed: httpx.AsyncClient, lines: list[Line]
) -> None:
    response = await observed.get("/observed/foreign-ids")

    assert response.headers.get_list("x-request-id") == [of_requests(lines)[0]["request_id"]]


async def test_request_that_the_server_cancels_has_failed(
    observed: httpx.AsyncClient, lines: list[Line]
) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            await observed.get("/observed/endless")

    assert [line["status"] for line in of_requests(lines)] == [500]


@pytest.mark.parametrize(
    ("path", "outcome"),
    [
        ("unavailable/pool", "pool"),
        ("sqlstates/40P01", "deadlock"),
        ("sqlstates/40001", "serialization"),
        ("sqlstates/57014", "statement_timeout"),
    ],
)
async def test_line_says_why_a_request_got_503(
    observed: httpx.AsyncClient, lines: list[Line], path: str, outcome: str
) -> None:
    assert (await observed.get(f"/observed/{path}")).status_code == 503

    cause, line = lines
    assert line["outcome"] == outcome
    assert cause["level"] == "error"
    assert cause["message"].startswith(f"GET {line['route']}: 503, ")


async def test_line_says_that_a_response_was_replayed(
    observed: httpx.AsyncClient, admin_headers: dict[str, str], lines: list[Line]
) -> None:
    headers = admin_headers | {"Idempotency-Key": "once"}
    responses = [await observed.post("/observed/statements", headers=headers) for _ in range(2)]

    first, second = of_requests(lines)
    assert {response.status_code for response in responses} == {201}
    assert "outcome" not in first
    assert second["outcome"] == "replayed"


async def test_statements_are_counted(
    observed_app: FastAPI, live_database: Database, lines: list[Line]
) -> None:
    observed_app.state.database = live_database
    async with http_client(observed_app) as client:
        for _ in range(2):
            await client.post("/observed/statements")

    assert of_requests(lines)[1]["statements"] == 3


async def test_time_spent_waiting_for_a_connection_is_told(
    app_with_routers: Callable[..., FastAPI], settings: Settings, lines: list[Line]
) -> None:
    database = Database(settings.model_copy(update={"database_read_pool_size": 1}))
    async with http_client(app_with_routers(router, database=database)) as client:
        await asyncio.gather(*(client.get("/observed/waits") for _ in range(2)))
    await database.dispose()

    at_once, later = sorted(line["waited_ms"] for line in of_requests(lines))
    assert at_once == 0
    assert 25 < later < max(line["duration_ms"] for line in of_requests(lines))


async def test_unexpected_error_is_logged_once_with_its_request(
    observed_app: FastAPI, lines: list[Line]
) -> None:
    """By the server, which every server does."""
    async with served(observed_app, trust_env=False) as client:
        response = await client.get("/observed/bugs/7", headers={"X-Request-ID": GIVEN})

    (line,) = [line for line in lines if "exception" in line]
    assert response.json()["request_id"] == line["request_id"] == GIVEN
    assert line["route"] == "/observed/bugs/{bug_id}"
    assert line["level"] == "error"
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert line["exception"].count("ZeroDivisionError: bug 7") == 1
    assert [one["status"] for one in of_requests(lines)] == [500]


async def test_handler_can_read_the_record(app_with_routers: Callable[..., FastAPI]) -> None:
    own = APIRouter()

    @own.get("/of/{name}")
    async def read(name: str, request: Request) -> dict[str, Any]:
        record = current_request()
        assert record
        return {"id": record.id, "route": record.route, "name": request.path_params["name"]}

    async with http_client(app_with_routers(own)) as client:
        response = await client.get("/of/x", headers={"X-Request-ID": GIVEN})

    assert response.json() == {"id": GIVEN, "route": "/of/{name}", "name": "x"}
