"""The order in which the parts of the perimeter surround the application."""

from collections.abc import Callable

import httpx
import pytest
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.config import Settings
from app.core.http.perimeter import Perimeter, install_perimeter
from app.core.http.problem_handlers import respond_to_unexpected_error
from app.core.observability.requests import RequestRecord
from tests.conftest import http_client

ORIGIN = "https://app.example.com"


class Finished:
    """An observer that counts requests, and keeps what their records say at the end."""

    def __init__(self) -> None:
        self.started_number = 0
        self.records: list[tuple[str, str, int]] = []

    def started(self, _record: RequestRecord) -> None:
        self.started_number += 1

    def finished(self, record: RequestRecord) -> None:
        self.records.append((record.route, record.method, record.status))


class CopyScope:
    """Middleware that gives the application another scope than its own, under another root path."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, "root_path": "/elsewhere"}, receive, send)


@pytest.fixture
def finished(monkeypatch: pytest.MonkeyPatch) -> Finished:
    """An observer of the applications that the test makes."""
    observer = Finished()
    monkeypatch.setattr("app.core.observability.install.RequestLog", lambda: observer)
    return observer


@pytest.mark.parametrize("method", ["OPTIONS", "GET"])
async def test_foreign_host_is_refused_before_an_origin_is_allowed(
    app_with_routers: Callable[..., FastAPI], method: str
) -> None:
    app = app_with_routers(cors_origins=[ORIGIN], allowed_hosts=["good.example"])
    headers = {
        "Host": "evil.example",
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "GET",
    }

    response = await http_client(app).request(method, "/users", headers=headers)

    assert response.status_code == 400
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize("method", ["HEAD", "GET"])
async def test_error_while_a_route_is_looked_for_is_responded_to_and_recorded(
    app_with_routers: Callable[..., FastAPI], finished: Finished, method: str
) -> None:
    app = app_with_routers()

    @app.get("/numbers/{number:int}")
    async def read(number: int) -> int:
        return number

    # `int()` refuses more than 4300 digits.
    response = await http_client(app, raises=False).request(method, f"/numbers/{'9' * 4400}")

    assert response.status_code == 500
    assert "x-request-id" in response.headers
    assert response.headers["x-frame-options"] == "DENY"
    assert finished.started_number == 1
    assert finished.records == [("", method, 500)]


async def test_error_after_a_request_to_the_application_itself_is_a_problem(
    app_with_routers: Callable[..., FastAPI], finished: Finished
) -> None:
    app = app_with_routers()

    @app.get("/inner")
    async def respond() -> None: ...

    @app.get("/outer")
    async def call() -> None:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            await client.get("/inner")
        raise ZeroDivisionError

    response = await http_client(app, raises=False).get("/outer")

    assert response.headers["content-type"] == "application/problem+json"
    assert finished.records == [("/inner", "GET", 200), ("/outer", "GET", 500)]


async def test_route_is_seen_behind_middleware_that_copies_the_scope(
    app_with_routers: Callable[..., FastAPI], finished: Finished
) -> None:
    app = app_with_routers()
    classes: list[object] = [middleware.cls for middleware in app.user_middleware]
    app.user_middleware.insert(classes.index(Perimeter) + 1, Middleware(CopyScope))

    @app.get("/items/{item_id}")
    async def read(item_id: int) -> int:
        return item_id

    response = await http_client(app).get("/elsewhere/items/7")

    assert finished.records == [("/items/{item_id}", "GET", 200)]
    # Not the milder one of mounted applications.
    assert response.headers["content-security-policy"].startswith("default-src 'none'")


def test_application_without_the_innermost_middleware_is_refused(settings: Settings) -> None:
    with pytest.raises(TypeError, match="middleware=INNERMOST"):
        install_perimeter(FastAPI(), settings, respond_to_unexpected_error, [])
