"""The edge around handlers, and the routes that need it."""

from collections.abc import AsyncGenerator, Callable
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, Request, Response, WebSocket
from sqlalchemy import text
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import BaseRoute, Host, Mount

from app.core.config import Settings
from app.core.database import Database, get_async_session
from app.core.http.edge import EdgeRoute, require_edge
from app.dependencies.database import DatabaseDep, SessionDep
from app.dependencies.if_match import get_if_match
from app.main import create_app
from tests.conftest import http_client
from tests.factories import Factory
from tests.platform.probe import PublicProbes, make_probe

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

    app = app_with_routers(router, database=database)
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


@pytest.mark.parametrize("wanted", [SessionDep, PublicProbes], ids=["session", "service"])
async def test_route_without_the_edge_that_wants_a_session_is_refused_at_startup(
    app_with_routers: AppWithRouters, wanted: Any
) -> None:
    router = APIRouter(prefix="/things")

    async def list_things(session: Any) -> None: ...

    list_things.__annotations__["session"] = wanted
    router.get("/all")(list_things)
    app = app_with_routers(router)

    with pytest.raises(TypeError, match=r"/things/all .*route_class=EdgeRoute"):
        async with app.router.lifespan_context(app):
            pass


async def test_web_socket_route_that_wants_a_session_is_refused_at_startup(
    app_with_routers: AppWithRouters,
) -> None:
    router = APIRouter(route_class=EdgeRoute)

    @router.websocket("/live")
    async def live(socket: WebSocket, session: SessionDep) -> None: ...

    app = app_with_routers(router)

    with pytest.raises(TypeError, match=r"/live .*database\.read\(\)"):
        async with app.router.lifespan_context(app):
            pass


async def get_client_host(request: Request) -> str | None:
    return request.client.host if request.client else None


async def get_tasks(background: BackgroundTasks) -> BackgroundTasks:
    return background


@pytest.mark.parametrize("dependency", [get_client_host, get_tasks])
async def test_web_socket_route_with_a_dependency_of_requests_ends_the_start(
    app_with_routers: AppWithRouters, dependency: Callable[..., object]
) -> None:
    router = APIRouter()

    @router.websocket("/live")
    async def live(socket: WebSocket, found: Annotated[object, Depends(dependency)]) -> None: ...

    app = app_with_routers(router)

    with pytest.raises(TypeError, match=rf"/live: {dependency.__name__} takes .*HTTPConnection"):
        async with app.router.lifespan_context(app):
            pass


async def test_app_whose_lifespan_has_not_begun_says_so(settings: Settings) -> None:
    outer = FastAPI()
    outer.mount("/svc", create_app(settings))

    async with http_client(outer) as client:
        for path in ("/svc/users", "/svc/health/ready"):
            with pytest.raises(RuntimeError, match="enter app"):
                await client.get(path)


async def test_session_outside_of_a_request_is_refused() -> None:
    with pytest.raises(RuntimeError, match="route_class=EdgeRoute"):
        await get_async_session()


async def test_override_of_the_session_is_refused(
    probe_app: FastAPI, admin_headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(probe_app.dependency_overrides, get_async_session, lambda: None)

    async with http_client(probe_app, headers=admin_headers) as client:
        with pytest.raises(RuntimeError, match=r"app\.state\.database"):
            await client.get("/probes/1")


async def want_session(session: SessionDep) -> None: ...


async def want_nothing() -> None: ...


def app_with_edge(handler: Any) -> FastAPI:
    router = APIRouter(route_class=EdgeRoute)
    router.get("/all")(handler)
    app = FastAPI()
    app.include_router(router)
    return app


def in_app(inner: FastAPI) -> FastAPI:
    outer = FastAPI()
    outer.mount("/inner", inner)
    return outer


@pytest.mark.parametrize("handler", [want_session, want_nothing])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda app: Mount("/things", app),
        lambda app: Mount("/things", in_app(app)),
        lambda app: Mount("/things", Starlette(routes=[Mount("/inner", app)])),
        lambda app: Mount("/things", GZipMiddleware(app)),
        lambda app: Host("things.example", app),
    ],
    ids=["app", "app in app", "app in Starlette", "middleware", "host"],
)
async def test_mounted_app_with_the_edge_ends_the_start(
    app_with_routers: AppWithRouters, wrap: Callable[[Any], BaseRoute], handler: Any
) -> None:
    app = app_with_routers()
    app.router.routes.append(wrap(app_with_edge(handler)))

    with pytest.raises(TypeError, match=r"/all belongs to an application that is mounted"):
        require_edge(app)


async def test_mounted_router_without_the_edge_ends_the_start(
    app_with_routers: AppWithRouters,
) -> None:
    router = APIRouter()
    router.get("/all")(want_session)
    app = app_with_routers()
    app.mount("/things", router)

    with pytest.raises(TypeError, match=r"/things/all .*route_class=EdgeRoute"):
        require_edge(app)


async def yield_with_session(session: SessionDep) -> AsyncGenerator[int]:
    yield 1


async def depend_on_generator(
    value: Annotated[int, Depends(yield_with_session, scope="function")],
) -> None: ...


@pytest.mark.parametrize("handler", [yield_with_session, depend_on_generator])
async def test_generator_that_wants_a_session_ends_the_start(
    app_with_routers: AppWithRouters, handler: Any
) -> None:
    """Its end runs after the commit, and so does all of a generator that is a handler."""
    router = APIRouter(route_class=EdgeRoute)
    router.post("/things")(handler)

    with pytest.raises(TypeError, match="/things: yield_with_session is a generator"):
        require_edge(app_with_routers(router))


async def test_background_task_of_an_error_response_does_not_run(
    app_with_routers: AppWithRouters, live_database: Database
) -> None:
    router = APIRouter(route_class=EdgeRoute)
    ran: list[int] = []

    @router.post("/things/{status}")
    async def respond(status: int, background: BackgroundTasks) -> Response:
        background.add_task(ran.append, status)
        return Response(status_code=status)

    async with http_client(app_with_routers(router, database=live_database)) as client:
        for status in (201, 409, 500):
            await client.post(f"/things/{status}")

    assert ran == [201]
