"""While the replica is up, it serves reads that may be slightly stale."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import event, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.util import await_

from app.core.config import Settings
from app.core.database.budget import budgeted
from app.core.database.pool import FairPool
from app.core.database.sessions import Database
from app.dependencies.database import SessionDep
from app.exceptions import UnavailableError
from app.models.user import User
from tests.conftest import http_client
from tests.factories import Factory
from tests.platform.database.apps import edged
from tests.platform.database.conftest import without_tls
from tests.platform.database.proxy import proxy_to


@pytest.fixture
async def replicated(settings: Settings) -> AsyncGenerator[FastAPI]:
    """An app whose replica is a different database, so that a test can tell the two apart."""
    replica = settings.database_url.set(database="postgres")
    changes = {"database_replica_url": replica, "database_pool_timeout": 0.5}
    app = edged(settings.model_copy(update=changes))

    @app.api_route("/where", methods=["GET", "HEAD", "POST"])
    async def where(session: SessionDep) -> str:
        return str(await session.scalar(text("SELECT current_database()")))

    async with app.router.lifespan_context(app):
        yield app


async def test_replica_is_not_down_because_a_client_has_left(replicated: FastAPI) -> None:
    database: Database = replicated.state.database

    async def read(statement: str) -> object:
        async with database.read(newest=False) as session:
            return await session.scalar(text(statement))

    leaving = asyncio.create_task(read("SELECT pg_sleep(60)"))
    await asyncio.sleep(0.2)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving

    assert await read("SELECT current_database()") == "postgres"


async def test_replica_is_not_down_because_a_client_has_left_during_a_ping(
    replicated: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    database: Database = replicated.state.database

    async def read() -> object:
        async with database.read(newest=False) as session:
            return await session.scalar(text("SELECT current_database()"))

    def leave(*_: object) -> bool:
        raise asyncio.CancelledError

    await read()
    with monkeypatch.context() as patch:
        patch.setattr(FairPool, "_works", leave)
        with pytest.raises(asyncio.CancelledError):
            await read()

    assert await read() == "postgres"


@pytest.mark.parametrize(
    ("method", "cache_control", "by_replica"),
    [
        ("GET", None, True),
        ("GET", "no-store", True),
        ("GET", "no-cache", False),
        ("GET", "max-age=0, No-Cache", False),
        ("POST", None, False),
    ],
)
async def test_replica_serves_safe_methods_that_need_not_see_the_newest(
    replicated: FastAPI, method: str, cache_control: str | None, *, by_replica: bool
) -> None:
    headers = {"Cache-Control": cache_control} if cache_control else {}
    async with http_client(replicated) as client:
        response = await client.request(method, "/where", headers=headers)

    assert response.status_code == 200
    assert (response.json() == "postgres") is by_replica


async def test_replica_serves_searches_on_connections_of_their_own(replicated: FastAPI) -> None:
    database: Database = replicated.state.database
    assert database.replica
    async with http_client(replicated) as client, AsyncExitStack() as stack:
        for _ in range(database.settings.database_read_pool_size):
            await stack.enter_async_context(database.replica.engine.connect())
        response = await client.get("/where?q=abc")

    assert response.json() == "postgres"


async def test_replica_whose_connections_are_in_use_is_not_down(
    replicated: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    database: Database = replicated.state.database
    assert database.replica
    async with http_client(replicated) as client:
        async with AsyncExitStack() as stack:
            for _ in range(database.settings.database_read_pool_size):
                await stack.enter_async_context(database.replica.engine.connect())
            busy = await client.get("/where")
        later = await client.get("/where")

    assert busy.status_code == 503
    assert later.json() == "postgres"
    assert "The replica is down" not in caplog.text


async def test_connection_to_the_replica_is_taken_at_the_first_statement(
    settings: Settings,
) -> None:
    changes = {"database_replica_url": settings.database_url, "database_read_pool_size": 1}
    app = edged(settings.model_copy(update=changes | {"database_pool_timeout": 0.5}))
    has_session, go_on = asyncio.Event(), asyncio.Event()

    @app.get("/slow")
    async def ask_another_system_first(session: SessionDep, *, wait: bool) -> int:
        if wait:
            has_session.set()
            await go_on.wait()
        found: int = (await session.execute(text("SELECT 1"))).scalar_one()
        return found

    async with app.router.lifespan_context(app), http_client(app) as client:
        slow = asyncio.create_task(client.get("/slow?wait=true"))
        await has_session.wait()
        meanwhile = await client.get("/slow?wait=false")
        go_on.set()

    assert meanwhile.json() == (await slow).json() == 1


@pytest.mark.parametrize(
    "use",
    [
        lambda session: session.execute(select(User.id)),
        lambda session: session.scalar(select(User.id)),
        lambda session: session.scalars(select(User.id)),
        lambda session: session.get(User, 1),
        lambda session: session.connection(),
        lambda session: session.run_sync(lambda sync: sync.connection()),
    ],
)
async def test_primary_serves_every_first_use_while_the_replica_is_down(
    settings: Settings,
    live_database: Database,
    caplog: pytest.LogCaptureFixture,
    use: Callable[[AsyncSession], Awaitable[object]],
) -> None:
    nowhere = settings.database_url.set(host="127.0.0.1", port=9)
    database = Database(settings.model_copy(update={"database_replica_url": nowhere}))

    async with database.read(newest=False) as session:
        await use(session)
        where = await session.scalar(text("SELECT current_database()"))
    await database.dispose()

    assert where == settings.database_url.database
    assert caplog.text.count("The replica is down, reads go to the primary: ") == 1


async def test_unused_session_connects_to_nothing(replicated: FastAPI) -> None:
    database: Database = replicated.state.database
    assert database.replica
    connected: list[object] = []
    event.listen(database.replica.engine.sync_engine, "checkout", lambda *_: connected.append(1))

    async with database.read(newest=False):
        pass
    assert not connected

    async with database.read(newest=False) as session:
        await session.execute(text("SELECT 1"))
    assert len(connected) == 1


async def read_name(session: AsyncSession) -> object:
    return await session.scalar(text("SELECT current_database()"))


async def test_session_whose_attempt_was_cancelled_reads_from_the_primary(
    replicated: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    database: Database = replicated.state.database

    def hang(pool: FairPool, *_: object) -> bool:
        await_(asyncio.sleep(60))
        return True

    async with database.read(newest=False) as session:
        with monkeypatch.context() as patch:
            patch.setattr(FairPool, "_works", hang)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await read_name(session)
        assert database.replica
        database.replica._mark_down()  # as another request may have found

        assert await read_name(session) == database.settings.database_url.database


async def test_replica_is_not_down_because_a_budget_is_used_up(
    replicated: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    """Waiting for its pool, or before that: the replica was not asked."""
    database: Database = replicated.state.database
    assert database.replica
    size = database.settings.database_read_pool_size
    async with AsyncExitStack() as stack:
        for _ in range(size):
            await stack.enter_async_context(database.replica.engine.connect())
        with budgeted(database.budget(0.2, shared=True)) as budget:
            for _ in range(2):
                with pytest.raises(UnavailableError, match="took too long"):
                    async with database.read(newest=False) as session:
                        await read_name(session)
    assert budget.seconds == 0

    async with database.read(newest=False) as session:
        assert await read_name(session) == "postgres"
    assert "The replica is down" not in caplog.text


async def test_session_that_cannot_move_says_so(replicated: FastAPI) -> None:
    database: Database = replicated.state.database
    assert database.replica
    async with database.write_sessions() as session:
        with pytest.raises(TypeError, match="RoutedSession"):
            await database.replica.connect(session)


@pytest.mark.parametrize("waiting", [0, 4])
async def test_replica_that_hangs_is_not_asked_for_another_connection(
    settings: Settings, open_database: Callable[..., Database], waiting: int
) -> None:
    """Neither by the reads whose pings fail, nor by those that wait for their turn."""
    async with proxy_to(settings.database_url.set(database="postgres")) as proxy:
        database = open_database(
            database_replica_url=without_tls(proxy.url),
            database_connect_timeout=1,
            database_read_pool_size=2,
        )

        async def read(after: float) -> object:
            """Read as a request does, and return the name of the database."""
            await asyncio.sleep(after)
            with budgeted(database.budget(shared=True)) as budget:
                async with database.read(newest=False) as session:
                    name = await read_name(session)
                    await session.execute(text("SELECT pg_sleep(0.05)"))
            assert not budget.holds_connection
            return name

        await asyncio.gather(read(0), read(0))
        opened = len(proxy.tasks)
        proxy.freeze()
        # Some time apart, so that their pings do not end together.
        served = await asyncio.gather(*(read(number * 0.2) for number in range(2 + waiting)))

        assert set(served) == {settings.database_url.database}
        pool: Any = database.replica.engine.pool if database.replica else None
        assert pool.in_use == 0
        assert len(proxy.tasks) == opened


async def test_replica_whose_idle_connections_were_closed_is_not_down(
    settings: Settings, open_database: Callable[..., Database], caplog: pytest.LogCaptureFixture
) -> None:
    async with proxy_to(settings.database_url.set(database="postgres")) as proxy:
        database = open_database(database_replica_url=without_tls(proxy.url))
        for _ in range(2):
            async with database.read(newest=False) as session:
                assert await read_name(session) == "postgres"
            proxy.reset()

    assert "The replica is down" not in caplog.text


@pytest.mark.parametrize("query", [{}, {"service": "no_such_service"}])
async def test_primary_serves_while_the_replica_cannot_be_reached(
    settings: Settings,
    live_database: Database,
    make_live: Factory,
    caplog: pytest.LogCaptureFixture,
    query: dict[str, str],
) -> None:
    nowhere = settings.database_url.set(host="127.0.0.1", port=9, query=query)
    database = Database(settings.model_copy(update={"database_replica_url": nowhere}))
    user = await make_live.user()

    await database.report_replica()
    assert "The replica is down, reads go to the primary: " in caplog.text
    async with database.read(newest=False) as session:
        found = await session.scalar(select(User.id))
    await database.dispose()

    assert found == user.id
