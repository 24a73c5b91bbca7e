"""A request that holds a connection never waits for another one, which could deadlock the pool."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

import pytest
from fastapi import APIRouter, BackgroundTasks, FastAPI
from fastapi.responses import StreamingResponse
from sqlalchemy import text

from app.core.config import Settings
from app.core.database.budget import (
    SecondConnectionError,
    budgeted,
    one_connection_at_a_time,
    require_no_connection,
)
from app.core.database.pool import NoTurnError
from app.core.database.sessions import Database
from app.dependencies.database import DatabaseDep, OpenSessionDep, SessionDep
from tests.conftest import http_client
from tests.platform.database.apps import edged
from tests.platform.log_lines import own_records

ONE = text("SELECT 1")


@pytest.fixture(params=["primary", "replica"])
def app_that(
    request: pytest.FixtureRequest, settings: Settings, open_database: Callable[..., Database]
) -> Callable[..., FastAPI]:
    """Create an app that raises or logs when a request wants a second connection."""
    replica = {"database_replica_url": settings.database_url} if request.param == "replica" else {}

    def make_app(reaction: str) -> FastAPI:
        app = edged(settings, open_database(database_second_connection=reaction, **replica))

        @app.api_route("/second", methods=["GET", "POST"])
        async def ask_twice(session: SessionDep, database: DatabaseDep) -> str:
            await session.execute(ONE)
            async with database.read() as another:
                await another.execute(ONE)
            return "served"

        @app.post("/statement")
        async def count_something(session: SessionDep, database: DatabaseDep) -> str:
            await session.execute(ONE)
            async with database.statement() as another:
                await another.execute(ONE)
            return "served"

        @app.get("/blocks")
        async def nest_blocks(database: DatabaseDep) -> str:
            async with database.transaction() as session, database.read() as another:
                await session.execute(ONE)
                await another.execute(ONE)
            return "served"

        @app.api_route("/one-by-one", methods=["GET", "POST"])
        async def ask_one_by_one(
            session: SessionDep, open_session: OpenSessionDep, database: DatabaseDep
        ) -> str:
            for _ in range(2):
                async with database.statement() as another:
                    await another.execute(ONE)
            await session.execute(ONE)
            await (await open_session()).execute(ONE)
            await session.rollback()
            async with database.read() as another:
                await another.execute(ONE)
            return "served"

        return app

    return make_app


WAYS = [("GET", "/second"), ("POST", "/second"), ("POST", "/statement"), ("GET", "/blocks")]


@pytest.mark.parametrize(("method", "path"), WAYS)
async def test_second_connection_raises_if_the_setting_says_so(
    app_that: Callable[..., FastAPI], method: str, path: str
) -> None:
    async with http_client(app_that("raise")) as client:
        with pytest.raises(SecondConnectionError, match="Release it first") as error:
            await client.request(method, path)

    assert "OpenSessionDep" in str(error.value)


@pytest.mark.parametrize(("method", "path"), WAYS)
async def test_second_connection_is_logged_once_if_the_setting_says_so(
    app_that: Callable[..., FastAPI],
    caplog: pytest.LogCaptureFixture,
    method: str,
    path: str,
) -> None:
    async with http_client(app_that("log")) as client:
        response = await client.request(method, path)

    assert response.json() == "served"
    (record,) = own_records(caplog.records)
    assert record.levelno == logging.ERROR
    assert "A connection is held while another one is requested" in record.getMessage()
    assert __file__ in record.getMessage()  # the place that wants the second one


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_connections_one_after_the_other_are_fine(
    app_that: Callable[..., FastAPI], caplog: pytest.LogCaptureFixture, method: str
) -> None:
    async with http_client(app_that("raise")) as client:
        response = await client.request(method, "/one-by-one")

    assert response.json() == "served"
    assert not caplog.messages


async def test_slow_code_can_require_that_no_connection_is_held(
    open_database: Callable[..., Database],
) -> None:
    database = open_database(database_second_connection="raise")

    require_no_connection("outside of everything")
    with budgeted(database.budget(shared=True)):
        async with database.transaction() as session:
            require_no_connection("before the first statement")
            await session.execute(ONE)
            with pytest.raises(SecondConnectionError, match="while it is slow"):
                require_no_connection("while it is slow")
        require_no_connection("after the block")


async def test_connection_of_a_test_counts_as_well(database: Database) -> None:
    """Otherwise tests would not detect it, because their sessions share one connection."""
    with budgeted(database.budget(shared=True)):
        async with database.transaction() as session, database.read() as another:
            await session.execute(ONE)
            with pytest.raises(SecondConnectionError):
                await another.execute(ONE)


async def test_blocks_of_a_command_may_nest(open_database: Callable[..., Database]) -> None:
    """Nobody else waits for its connections. Jobs and WebSockets have one at a time."""
    database = open_database(database_second_connection="raise")

    async with database.read() as session, database.transaction() as another:
        await session.execute(ONE)
        await another.execute(ONE)


async def nest(database: Database) -> None:
    """Want a second connection while one is held."""
    async with database.transaction() as session:
        await session.execute(ONE)
        async with database.read() as another:
            await another.execute(ONE)


async def nest_the_other_way_round(database: Database) -> None:
    """Hold one in the inner block, and want one in the outer."""
    async with database.transaction() as session, database.read() as another:
        await another.execute(ONE)
        await session.execute(ONE)


async def ask_side_by_side(database: Database) -> None:
    async def ask() -> None:
        async with database.transaction() as session:
            await session.execute(ONE)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(ask())
        tasks.create_task(ask())


@pytest.mark.parametrize("use", [nest, nest_the_other_way_round, ask_side_by_side])
async def test_blocks_within_a_guard_have_one_connection_together(
    open_database: Callable[..., Database], use: Callable[[Database], Coroutine[Any, Any, None]]
) -> None:
    database = open_database(database_second_connection="raise")
    errors: list[BaseException] = []

    try:
        with one_connection_at_a_time():
            await asyncio.create_task(use(database))
    except* SecondConnectionError as group:
        errors += group.exceptions

    assert len(errors) == 1
    await use(database)  # nobody waits for the connections of a command


@pytest.fixture
def app_outside_of_the_edge(
    settings: Settings, open_database: Callable[..., Database]
) -> Callable[..., FastAPI]:
    """Create an app whose routes nest blocks where no edge is, or after it."""

    def make_app(reaction: str) -> FastAPI:
        database = open_database(database_second_connection=reaction)
        app = edged(settings, database)
        plain = APIRouter(prefix="/plain")

        @plain.get("")
        async def without_edge() -> str:
            await nest(database)
            return "served"

        @app.get("/background")
        async def after_the_response(tasks: BackgroundTasks) -> str:
            tasks.add_task(nest, database)
            return "served"

        @app.get("/stream")
        async def in_the_body() -> StreamingResponse:
            async def body() -> AsyncGenerator[str]:
                yield '"'
                await nest(database)
                yield 'served"'

            return StreamingResponse(body())

        app.include_router(plain)
        return app

    return make_app


OUTSIDE = ["/plain", "/background", "/stream"]


@pytest.mark.parametrize("path", OUTSIDE)
async def test_second_connection_raises_outside_of_the_edge_too(
    app_outside_of_the_edge: Callable[..., FastAPI], path: str
) -> None:
    async with http_client(app_outside_of_the_edge("raise")) as client:
        with pytest.raises(SecondConnectionError, match="Release it first"):
            await client.get(path)


@pytest.mark.parametrize("path", OUTSIDE)
async def test_second_connection_is_logged_outside_of_the_edge_too(
    app_outside_of_the_edge: Callable[..., FastAPI], caplog: pytest.LogCaptureFixture, path: str
) -> None:
    async with http_client(app_outside_of_the_edge("log")) as client:
        response = await client.get(path)

    assert response.json() == "served"
    (record,) = own_records(caplog.records)
    assert "A connection is held while another one is requested" in record.getMessage()


@pytest.mark.parametrize("first", [0.0, 0.05])
async def test_connection_that_is_waited_for_counts(
    settings: Settings, open_database: Callable[..., Database], first: float
) -> None:
    """Two requests that each wait for two connections could each get one, and wait for ever."""
    database = open_database(database_second_connection="raise", database_pool_size=2)
    app = edged(settings, database)

    @app.post("/at-once")
    async def ask_at_once(session: SessionDep) -> None:
        async def ask_later() -> None:
            await asyncio.sleep(first)
            async with database.transaction() as another:
                await another.execute(ONE)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(session.execute(ONE))
            tasks.create_task(ask_later())

    async with (
        http_client(app) as client,
        database.transaction() as one,
        database.transaction() as other,
    ):
        await asyncio.gather(one.execute(ONE), other.execute(ONE))
        requests = [asyncio.create_task(client.post("/at-once")) for _ in range(2)]
        await asyncio.wait(requests, timeout=5)
    for request in requests:
        with pytest.raises(ExceptionGroup) as error:
            await request
        assert error.group_contains(SecondConnectionError)


@pytest.mark.parametrize("waiting", [2, 3])
async def test_deadline_ends_all_who_wait_within_one_request(
    open_database: Callable[..., Database], waiting: int
) -> None:
    database = open_database(
        database_second_connection="log", database_pool_size=1, database_deadline=0.3
    )
    async with database.transaction() as blocking:
        await blocking.execute(ONE)
        with budgeted(database.budget(shared=True)):

            async def ask() -> None:
                async with database.transaction() as session:
                    await session.execute(ONE)

            async with asyncio.timeout(5):
                ends = await asyncio.gather(
                    *(ask() for _ in range(waiting)), return_exceptions=True
                )

    assert [type(end) for end in ends] == [NoTurnError] * waiting
