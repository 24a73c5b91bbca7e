"""Connections are opened when they are needed, and closed when they no longer are."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Any, cast

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.pool.base import _ConnectionRecord
from sqlalchemy.util import await_

from app.core.config import Settings
from app.core.database import pool as pools
from app.core.database.engines import make_engine
from app.core.database.pool import FairPool
from app.core.database.sessions import Database

LINGER = 0.2


@pytest.fixture
async def small(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[tuple[Database, FairPool]]:
    """A database with one connection, and four more in need."""
    monkeypatch.setattr(pools, "_LINGER_SECONDS", LINGER)
    limits = {"database_pool_size": 1, "database_max_overflow": 4}
    database = Database(settings.model_copy(update=limits))
    yield database, cast("FairPool", database.writer.pool)
    await database.dispose()


async def backend(database: Database, seconds: float = 0) -> int:
    """Return the process that serves a session, after a while."""
    async with database.read() as session:
        await session.execute(text(f"SELECT pg_sleep({seconds})"))
        pid: int = (await session.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        return pid


async def at_once(database: Database, number: int) -> set[int]:
    return set(await asyncio.gather(*(backend(database, 0.05) for _ in range(number))))


async def test_connections_beyond_the_size_last_as_long_as_the_load(
    small: tuple[Database, FairPool],
) -> None:
    database, pool = small
    first = await at_once(database, 5)
    for _ in range(10):
        assert await at_once(database, 5) == first
    assert pool.checkedin() == 5

    async with asyncio.timeout(10 * LINGER):
        while pool.checkedin() > 1:
            await asyncio.sleep(LINGER / 10)

    assert len(await at_once(database, 5)) == 5  # opened again


async def test_connections_that_are_needed_now_and_then_stay(
    small: tuple[Database, FairPool],
) -> None:
    database, pool = small
    first = await at_once(database, 5)
    for _ in range(8):
        await asyncio.sleep(LINGER / 2)
        assert await at_once(database, 3) <= first

    assert pool.checkedin() == 3


async def test_connection_that_is_in_use_all_the_time_is_the_one_that_stays(
    small: tuple[Database, FairPool],
) -> None:
    database, pool = small
    await at_once(database, 5)
    used = await backend(database)
    async with asyncio.timeout(10 * LINGER):
        while pool.checkedin() > 1:
            assert await backend(database) == used
            await asyncio.sleep(LINGER / 10)

    assert await backend(database) == used


async def test_server_that_does_not_say_goodbye_is_left(
    small: tuple[Database, FairPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, pool = small
    monkeypatch.setattr(pools, "_GOODBYE_SECONDS", LINGER / 10)
    close = _ConnectionRecord.close

    def wait_for_goodbye(record: _ConnectionRecord) -> None:
        try:
            await_(asyncio.Future())
        finally:
            close(record)

    monkeypatch.setattr(_ConnectionRecord, "close", wait_for_goodbye)
    await at_once(database, 5)
    async with asyncio.timeout(20 * LINGER):
        while pool._timer or pool.checkedin() > 1:
            await asyncio.sleep(LINGER / 10)
    monkeypatch.setattr(_ConnectionRecord, "close", close)

    assert len(await at_once(database, 5)) == 5  # the places are free again


async def test_connections_in_use_are_closed_after_the_pool(
    small: tuple[Database, FairPool],
) -> None:
    database, pool = small
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(database.writer.connect())
        await database.dispose()

    assert pool.checkedin() == 0


async def test_whoever_waits_for_a_pool_that_is_disposed_of_gets_a_turn(settings: Settings) -> None:
    limits = {"database_pool_size": 1, "database_max_overflow": 0}
    database = Database(settings.model_copy(update=limits))
    async with database.read() as session:
        await session.execute(text("SELECT 1"))
        waiting = asyncio.create_task(backend(database))
        await asyncio.sleep(0.05)
        await database.dispose()
    async with asyncio.timeout(10):
        assert await waiting
    await database.dispose()


@pytest.mark.parametrize(("trusted_seconds", "pings"), [(0, 3), (60, 0)])
async def test_connection_that_was_just_in_use_is_not_pinged(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, trusted_seconds: float, pings: int
) -> None:
    url = settings.database_url
    dialect = make_url(url).get_dialect()
    pinged: list[Any] = []

    def ping(_: object, connection: Any) -> bool:
        pinged.append(connection)
        return True

    monkeypatch.setattr(dialect, "do_ping", ping)
    engine = make_engine(
        url, settings, trusted_seconds=trusted_seconds, poolclass=FairPool, pool_pre_ping=True
    )
    for _ in range(4):  # a new connection is not pinged either
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
    await engine.dispose()

    assert len(pinged) == pings


async def test_connection_that_was_just_lost_is_noticed(settings: Settings) -> None:
    engine = make_engine(
        settings.database_url, settings, trusted_seconds=60, poolclass=FairPool, pool_pre_ping=True
    )
    async with engine.connect() as first, engine.connect() as second:
        lost = (await first.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        await first.close()
        await second.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": lost})
        await asyncio.sleep(0.05)  # the end of the stream is under way
        async with engine.connect() as third:
            found = (await third.execute(text("SELECT pg_backend_pid()"))).scalar_one()
    await engine.dispose()

    assert found != lost


@pytest.mark.parametrize("use", ["the engine", "one with options"])
async def test_connection_that_read_begins_transactions_for_others(
    settings: Settings, use: str
) -> None:
    limits = {"database_pool_size": 1, "database_max_overflow": 0}
    database = Database(settings.model_copy(update=limits))
    transaction_id = text("SELECT pg_current_xact_id()::text")
    engine = database.engine if use == "the engine" else database.writer.execution_options(a="b")

    async def look(connection: AsyncSession | AsyncConnection) -> tuple[int, set[str]]:
        """Return who serves the connection, and the transactions of three statements."""
        process = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        found = [(await connection.execute(transaction_id)).scalar_one() for _ in range(3)]
        return process, set(found)

    seen = []
    for _ in range(2):
        async with database.read() as session:
            seen.append(await look(session))
        async with engine.connect() as connection:
            seen.append(await look(connection))
    await database.dispose()

    assert len({process for process, _ in seen}) == 1
    assert [len(transactions) for _, transactions in seen] == [3, 1, 3, 1]


async def test_connection_that_cannot_be_set_is_replaced(
    small: tuple[Database, FairPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, pool = small
    async with database.writer.connect() as connection:
        raw = await connection.get_raw_connection()
        adapted = type(raw.dbapi_connection)
    lost = await backend(database)

    class Broken:
        def __get__(self, *_: object) -> bool:
            return False

        def __set__(self, *_: object) -> None:
            raise TimeoutError("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(adapted, "autocommit", Broken())
        for _ in range(6):  # more often than there are turns
            with pytest.raises(TimeoutError):
                await backend(database)

    assert pool.checkedout() == 0
    assert await backend(database) != lost


async def test_what_the_pool_does_is_no_message_of_the_app(
    small: tuple[Database, FairPool], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "app")
    database, _ = small
    await at_once(database, 3)
    await database.dispose()

    assert caplog.messages == []
