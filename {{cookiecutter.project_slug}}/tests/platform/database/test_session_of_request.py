"""A route that depends on a session gets one from the edge, else the app does not start."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from traceback import format_exception
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from sqlalchemy import text
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.database import get_async_session
from app.core.database.sessions import Database
from app.core.http.edge import EdgeRoute
from app.dependencies.database import DatabaseDep, OpenSessionDep, SessionDep
from app.main import create_app
from app.models.user import User
from tests.conftest import http_client

Start = Callable[..., Coroutine[Any, Any, None]]


@pytest.fixture
def start(settings: Settings) -> Start:
    """Start an app with an additional router, and stop it."""

    async def start_app(router: APIRouter, **options: Any) -> None:
        app = create_app(settings)
        app.include_router(router, prefix="/v1", **options)
        async with app.router.lifespan_context(app):
            pass

    return start_app


async def take_session(session: SessionDep) -> None: ...


async def take_open_session(open_session: OpenSessionDep) -> None: ...


async def take_it_indirectly(_: Annotated[None, Depends(take_session)]) -> None: ...


HANDLERS = [take_session, take_open_session, take_it_indirectly]


@pytest.mark.parametrize("handler", HANDLERS)
async def test_app_does_not_start_with_a_route_that_has_no_edge(start: Start, handler: Any) -> None:
    router = APIRouter()
    router.get("/things")(handler)

    with pytest.raises(TypeError, match=r"/v1/things .* route_class=EdgeRoute"):
        await start(router)


async def test_dependency_of_the_router_counts_as_well(start: Start) -> None:
    router = APIRouter()

    @router.get("/things")
    async def read_things() -> None: ...

    await start(router)
    with pytest.raises(TypeError, match="/v1/things"):
        await start(router, dependencies=[Depends(get_async_session)])


@pytest.mark.parametrize("handler", HANDLERS)
async def test_app_starts_with_routes_that_have_the_edge(start: Start, handler: Any) -> None:
    router = APIRouter(route_class=EdgeRoute)
    router.get("/things")(handler)

    await start(router)


async def test_app_does_not_start_with_a_web_socket_that_wants_a_session(start: Start) -> None:
    router = APIRouter(route_class=EdgeRoute)

    @router.websocket("/live")
    async def live(socket: WebSocket, session: SessionDep) -> None: ...

    with pytest.raises(TypeError, match=r"/v1/live .* database\.transaction\(\) .*DatabaseDep"):
        await start(router)


async def test_web_socket_may_open_sessions_itself(
    settings: Settings, open_database: Callable[..., Database]
) -> None:
    app = create_app(settings)
    app.state.database = open_database()
    sent: list[Any] = []

    @app.websocket("/live")
    async def live(socket: WebSocket, database: DatabaseDep) -> None:
        await socket.accept()
        async with database.transaction() as session:
            await socket.send_text(str(await session.scalar(text("SELECT 42"))))
        await socket.close()

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/live", "query_string": b"", "headers": []}
    await app(scope, receive, send)

    assert "42" in [message.get("text") for message in sent]


async def test_session_outside_of_a_request_says_what_to_use() -> None:
    with pytest.raises(RuntimeError, match=r"route_class=EdgeRoute.*database\.transaction\(\)"):
        await get_async_session()


async def test_session_is_the_same_throughout_a_request(
    settings: Settings, open_database: Callable[..., Database]
) -> None:
    app = create_app(settings)
    app.router.route_class = EdgeRoute
    app.state.database = open_database()

    async def inner(session: SessionDep) -> object:
        return session

    @app.post("/same")
    async def compare(
        session: SessionDep,
        other: Annotated[object, Depends(inner, use_cache=False)],
        open_session: OpenSessionDep,
    ) -> bool:
        return session is other is await open_session()

    async with http_client(app) as client:
        assert (await client.post("/same")).json() is True


CLOSED = "permanently closed"


@pytest.fixture
def serve(settings: Settings, open_database: Callable[..., Database]) -> Callable[[], FastAPI]:
    """Create an app whose own routes are edge routes."""

    def make_app() -> FastAPI:
        app = create_app(settings)
        app.router.route_class = EdgeRoute
        app.state.database = open_database()
        return app

    return make_app


async def test_response_that_streams_from_the_session_fails_instead_of_reading_on(
    serve: Callable[[], FastAPI],
) -> None:
    """The transaction has ended when the response starts; a stream opens its own session."""
    app = serve()

    @app.get("/stream")
    async def stream(session: SessionDep) -> StreamingResponse:
        async def lines() -> AsyncGenerator[str]:
            yield str(await session.scalar(text("SELECT 1")))

        return StreamingResponse(lines())

    @app.get("/generator")
    async def generate(session: SessionDep) -> AsyncIterator[int]:
        yield await session.scalar(text("SELECT 1")) or 0

    async with http_client(app) as client:
        for path in ("/stream", "/generator"):
            with pytest.raises(Exception) as failure:  # noqa: PT011 (in a group, or alone)
                await client.get(path)
            assert CLOSED in "".join(format_exception(failure.value))


async def test_stream_reads_in_sessions_of_its_own(serve: Callable[[], FastAPI]) -> None:
    app = serve()
    held: list[int] = []

    @app.get("/stream")
    async def stream(database: DatabaseDep) -> StreamingResponse:
        async def lines() -> AsyncGenerator[str]:
            for number in range(3):
                async with database.read() as session:
                    value = await session.scalar(text("SELECT CAST(:n AS int)"), {"n": number})
                held.append(database.reader.pool.checkedout())  # type: ignore[attr-defined]
                yield f"{value}\n"

        return StreamingResponse(lines())

    async with http_client(app) as client:
        response = await client.get("/stream")

    assert (response.text, held) == ("0\n1\n2\n", [0, 0, 0])


@pytest.mark.parametrize("use", ["execute", "add", "commit"])
@pytest.mark.parametrize("is_used", [True, False])
async def test_background_task_that_uses_the_session_fails(
    serve: Callable[[], FastAPI], use: str, is_used: bool
) -> None:
    """Nothing is silently lost, and no connection stays in a transaction."""
    app = serve()

    async def write(session: AsyncSession) -> None:
        if use == "execute":
            await session.execute(text("SELECT 1"))
        elif use == "add":
            session.add(User(email="ann@example.com", display_name="Ann"))
        else:
            await session.commit()

    @app.post("/task")
    async def start_task(session: SessionDep, background: BackgroundTasks) -> None:
        if is_used:
            await session.execute(text("SELECT 1"))
        background.add_task(write, session)

    async with http_client(app) as client:
        with pytest.raises(InvalidRequestError, match=CLOSED):
            await client.post("/task")

    assert app.state.database.writer.pool.checkedout() == 0


async def test_task_that_outlives_the_request_cannot_use_its_session(
    serve: Callable[[], FastAPI],
) -> None:
    app = serve()
    tasks: list[asyncio.Task[object]] = []
    responded = asyncio.Event()

    @app.post("/task")
    async def start_task(session: SessionDep) -> None:
        async def work() -> object:
            await responded.wait()
            return await session.scalar(text("SELECT 1"))

        tasks.append(asyncio.create_task(work()))

    async with http_client(app) as client:
        await client.post("/task")
    responded.set()

    with pytest.raises(InvalidRequestError, match=CLOSED):
        await tasks[0]


async def test_session_of_a_rolled_back_test_is_closed_as_well(database: Database) -> None:
    """A team's tests notice the use after the request, too."""
    async with database.transaction() as session:
        await session.execute(text("SELECT 1"))

    with pytest.raises(InvalidRequestError, match=CLOSED):
        await session.execute(text("SELECT 1"))


async def test_task_that_outlives_the_request_gets_no_session(
    settings: Settings, open_database: Callable[..., Database]
) -> None:
    """Nobody would commit its writes, nor give its connection back."""
    app = create_app(settings)
    app.router.route_class = EdgeRoute
    app.state.database = open_database()
    responded = asyncio.Event()
    tasks: list[asyncio.Task[object]] = []

    @app.post("/task")
    async def start_task(open_session: OpenSessionDep) -> None:
        async def work() -> object:
            await responded.wait()
            session = await open_session()
            return await session.scalar(text("SELECT 1"))

        tasks.append(asyncio.create_task(work()))

    async with http_client(app) as client:
        await client.post("/task")
    responded.set()

    with pytest.raises(RuntimeError, match=r"request is over.*database\.transaction\(\)"):
        await tasks[0]


async def test_handler_without_a_session_asks_for_none(
    settings: Settings, open_database: Callable[..., Database]
) -> None:
    nowhere = settings.database_url.set(host="127.0.0.1", port=9, query={})
    app = create_app(settings)
    app.router.route_class = EdgeRoute
    app.state.database = open_database(database_url=nowhere)

    @app.post("/nothing")
    async def nothing(session: SessionDep) -> str:
        return "done"

    async with http_client(app) as client:
        headers = {"Idempotency-Key": "key"}
        without, with_key = [
            await client.post("/nothing", headers=given) for given in ({}, headers)
        ]

    assert (without.status_code, with_key.status_code) == (200, 503)


async def test_concurrent_first_calls_get_one_session(
    app_with_routers: Callable[..., FastAPI], live_database: Database
) -> None:
    router = APIRouter(route_class=EdgeRoute)

    @router.post("/things")
    async def open_twice(open_session: OpenSessionDep) -> bool:
        first, second = await asyncio.gather(open_session(), open_session())
        return first is second

    async with http_client(app_with_routers(router, database=live_database)) as client:
        response = await client.post("/things", headers={"Idempotency-Key": "once"})

    assert response.json() is True
