"""The edge around handlers, and the routes that need it."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from sqlalchemy import text

from app.core.database import Database, get_async_session
from app.core.http.edge import EdgeRoute, require_edge
from app.dependencies.database import DatabaseDep, SessionDep
from app.dependencies.if_match import get_if_match
from tests.conftest import http_client
from tests.factories import Factory
from tests.platform.probe import make_probe

AppWithRouters = Callable[..., FastAPI]


async def test_overrides_of_the_app_hold(
    probe_app: FastAPI,
    database: Database,
    make: Factory,
    admin_headers: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = f"/probes/{(await make_probe(make)).id}"
    monkeypatch.setitem(probe_app.dependency_overrides, get_if_match, lambda: frozenset({7}))
    probe_app.state.database = database

    async with http_client(probe_app, headers=admin_headers) as client:
        response = await client.patch(path, json={})

    assert response.status_code == 412


async def test_web_socket_route_reads_by_the_database(
    app_with_routers: AppWithRouters, database: Database
) -> None:
    router = APIRouter()

    @router.websocket("/live")
    async def live(socket: WebSocket, database: DatabaseDep) -> None:
        await socket.accept()
        async with database.read() as session:
            await socket.send_text(f"{await session.scalar(text('SELECT 7'))}")
        await socket.close()

    app = app_with_routers(router)
    app.state.database = database
    require_edge(app)
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(
        {"type": "websocket", "path": "/live", "query_string": b"", "headers": []}, receive, send
    )

    assert [message.get("text") for message in sent] == [None, "7", None]


async def test_route_without_the_edge_that_wants_a_session_ends_the_start(
    app_with_routers: AppWithRouters,
) -> None:
    router = APIRouter(prefix="/things")

    @router.get("/all")
    async def list_things(session: SessionDep) -> None: ...

    app = app_with_routers(router)

    with pytest.raises(TypeError, match=r"/things/all .*route_class=EdgeRoute"):
        async with app.router.lifespan_context(app):
            pass


async def test_web_socket_route_that_wants_a_session_ends_the_start(
    app_with_routers: AppWithRouters,
) -> None:
    router = APIRouter(route_class=EdgeRoute)

    @router.websocket("/live")
    async def live(socket: WebSocket, session: SessionDep) -> None: ...

    app = app_with_routers(router)

    with pytest.raises(TypeError, match=r"/live .*database\.read\(\)"):
        async with app.router.lifespan_context(app):
            pass


async def test_session_outside_of_a_request_is_refused() -> None:
    with pytest.raises(RuntimeError, match="route_class=EdgeRoute"):
        await get_async_session()


async def test_mounted_app_that_wants_a_session_ends_the_start(
    app_with_routers: AppWithRouters,
) -> None:
    router = APIRouter(route_class=EdgeRoute)

    @router.get("/all")
    async def list_things(session: SessionDep) -> None: ...

    mounted = FastAPI()
    mounted.include_router(router)
    app = app_with_routers()
    app.mount("/things", mounted)

    with pytest.raises(TypeError, match=r"/things/all depends on a session, and is mounted"):
        require_edge(app)
