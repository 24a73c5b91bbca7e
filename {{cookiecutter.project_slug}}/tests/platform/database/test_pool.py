"""The pool has a fixed size, serves those who wait in their order, and loses no turn."""

import asyncio
import gc
import random
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from typing import Any, cast
from weakref import ref

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.util import await_

from app.core.config import Settings
from app.core.database.engines import make_engine
from app.core.database.pool import FairPool, FairSemaphore
from app.core.database.sessions import Database
from app.exceptions import UnavailableError
from tests.platform.database.proxy import proxy_to

ONE = text("SELECT 1")
PID = text("SELECT pg_backend_pid()")


# What SQLAlchemy and the driver say of connections that nobody gives back.
forgetful = pytest.mark.filterwarnings(
    "ignore:The garbage collector is trying to clean up",
    "ignore:.*was deleted while still open:ResourceWarning",
)


def pool_of(engine: AsyncEngine) -> FairPool:
    return cast("FairPool", engine.pool)


async def backend(database: Database, seconds: float = 0) -> int:
    """Return the process that serves a read session, after a while."""
    async with database.read() as session:
        await session.execute(text(f"SELECT pg_sleep({seconds})"))
        pid: int = (await session.execute(PID)).scalar_one()
        return pid


async def at_once(database: Database, number: int) -> set[int]:
    return set(await asyncio.gather(*(backend(database, 0.02) for _ in range(number))))


async def sleep(database: Database, seconds: float) -> None:
    async with database.read() as session:
        await session.execute(text(f"SELECT pg_sleep({seconds})"))


async def terminate(database: Database, *pids: int) -> None:
    """End these sessions at the server, and wait until each client could know."""
    async with database.transaction() as session:
        for pid in pids:
            await session.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    await asyncio.sleep(0.05)  # the end of the stream is under way


@pytest.fixture
def single(open_database: Callable[..., Database]) -> Database:
    """A database with one connection for each engine."""
    return open_database(database_pool_size=1, database_read_pool_size=1, database_pool_timeout=2)


# Size and order


async def test_pool_opens_as_many_connections_as_it_may_and_keeps_them(
    open_database: Callable[..., Database],
) -> None:
    database = open_database(database_read_pool_size=3)

    first = await at_once(database, 12)
    assert len(first) == 3
    for _ in range(5):
        assert await at_once(database, 12) == first
    assert pool_of(database.reader).checkedin() == 3


async def test_connection_that_was_used_last_is_used_first(
    open_database: Callable[..., Database],
) -> None:
    database = open_database(database_read_pool_size=3)
    await at_once(database, 3)
    used = await backend(database)

    assert {await backend(database) for _ in range(10)} == {used}


async def test_those_who_wait_for_a_connection_are_served_in_their_order(
    single: Database,
) -> None:
    order: list[int] = []

    async def read(number: int) -> None:
        await sleep(single, 0.001)
        order.append(number)

    await asyncio.gather(*(read(number) for number in range(20)))

    assert order == list(range(20))


async def test_later_client_does_not_overtake(single: Database) -> None:
    """Not even one that arrives just as a connection is given back."""
    order: list[str] = []

    async def read(name: str) -> None:
        await sleep(single, 0)
        order.append(name)

    async def read_and_come_back() -> None:
        await read("first")
        await read("first again")

    first = asyncio.create_task(read_and_come_back())
    waiting = asyncio.create_task(read("second"))
    await asyncio.gather(first, waiting)

    assert order == ["first", "second", "first again"]


async def test_full_pool_makes_others_wait_but_not_for_long(
    open_database: Callable[..., Database],
) -> None:
    database = open_database(database_pool_timeout=0.2, database_read_pool_size=1)

    async with database.reader.connect():
        start = time.monotonic()
        with pytest.raises(UnavailableError, match="Too many requests"):
            await sleep(database, 0)
        assert 0.2 <= time.monotonic() - start < 2

    await sleep(database, 0)  # the turn that was given up is there again


async def test_readers_and_writers_do_not_wait_for_each_other(single: Database) -> None:
    async with single.reader.connect(), single.transaction() as session:
        await session.execute(ONE)
    async with single.writer.connect():
        await sleep(single, 0)


@pytest.mark.parametrize("open_session", ["transaction", "read", "statement"])
async def test_nothing_is_held_before_the_first_statement(
    single: Database, open_session: str
) -> None:
    async with getattr(single, open_session)() as session:
        assert pool_of(single.reader).checkedout() == 0
        assert pool_of(single.writer).checkedout() == 0
        await session.execute(ONE)
        assert pool_of(single.reader).checkedout() + pool_of(single.writer).checkedout() == 1


async def test_settings_of_the_pool_reach_it(open_database: Callable[..., Database]) -> None:
    database = open_database(database_pool_size=3, database_read_pool_size=4)

    assert pool_of(database.writer).size() == 3
    assert pool_of(database.reader).size() == 4


# No turn is lost


async def test_client_that_leaves_the_queue_loses_no_slot(single: Database) -> None:
    async with single.reader.connect():
        waiting = [asyncio.create_task(sleep(single, 0)) for _ in range(5)]
        await asyncio.sleep(0.05)
        for task in waiting[::2]:
            task.cancel()
        await asyncio.sleep(0)
    results = await asyncio.gather(*waiting, return_exceptions=True)

    assert [isinstance(result, asyncio.CancelledError) for result in results] == [
        True, False, True, False, True,
    ]  # fmt: skip
    await sleep(single, 0)


async def test_client_cancelled_at_its_turn_passes_it_on(single: Database) -> None:
    connection = await single.reader.connect()
    first, second = (asyncio.create_task(sleep(single, 0)) for _ in range(2))
    await asyncio.sleep(0.05)

    await connection.close()  # the turn is the first one's
    first.cancel()
    async with asyncio.timeout(10):
        await asyncio.gather(first, second, return_exceptions=True)

    assert second.exception() is None


@pytest.mark.parametrize("seed", range(5))
async def test_no_turn_is_lost_whatever_ends_a_wait(seed: int) -> None:
    """Turns, timeouts and cancellations meet in the same steps of the event loop."""
    chance = random.Random(seed)
    semaphore = FairSemaphore(2)

    async def pause() -> None:
        for _ in range(chance.randrange(6)):
            await asyncio.sleep(0)

    async def use(patience: float) -> bool:
        has_turn = semaphore.acquire_nowait() or await semaphore.acquire(patience)
        if has_turn:
            try:
                await pause()
            finally:
                semaphore.release()
        return has_turn

    async def use_or_be_cancelled() -> bool:
        task = asyncio.create_task(use(chance.choice([0, 0.0001, 0.001, 1])))
        await pause()
        if chance.random() < 0.5:
            task.cancel()
        return await task

    waits = [use_or_be_cancelled() for _ in range(400)]
    ends = await asyncio.gather(*waits, return_exceptions=True)

    assert {True, False, asyncio.CancelledError} == {
        end if isinstance(end, bool) else type(end) for end in ends
    }
    assert (semaphore.acquired, semaphore.waiting) == (0, 0)


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.01, 0.05])
async def test_cancelled_client_passes_the_turn_on(single: Database, seconds: float) -> None:
    for _ in range(5):
        task = asyncio.create_task(sleep(single, 0.2))
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async with asyncio.timeout(10):
        await sleep(single, 0)


async def test_connect_that_fails_passes_the_turn_on(
    settings: Settings, open_database: Callable[..., Database]
) -> None:
    nowhere = settings.database_url.set(host="127.0.0.1", port=9, query={})
    database = open_database(database_url=nowhere, database_read_pool_size=1)

    for _ in range(3):
        with pytest.raises(UnavailableError, match="cannot be reached"):
            await sleep(database, 0)


async def test_connection_that_breaks_passes_the_turn_on(
    single: Database, open_database: Callable[..., Database]
) -> None:
    killer = open_database()

    async def be_killed() -> None:
        async with single.read() as session:
            await terminate(killer, await session.scalar(PID))
            await session.execute(ONE)

    for _ in range(3):
        with pytest.raises(UnavailableError):
            await be_killed()

    await sleep(single, 0)


async def test_connection_that_is_invalidated_passes_the_turn_on(single: Database) -> None:
    for _ in range(3):
        async with single.reader.connect() as connection:
            await connection.execute(ONE)
            await connection.invalidate()

    await sleep(single, 0)


@forgetful
async def test_connection_that_nobody_gives_back_passes_the_turn_on(single: Database) -> None:
    """A bug of the code that opened the session; but not the end of the pool."""

    async def forget() -> ref[AsyncSession]:
        session = single.read_sessions()
        await session.execute(ONE)
        return ref(session)

    for _ in range(3):
        forgotten = await forget()
        gc.collect()
        assert forgotten() is None

    await sleep(single, 0)


async def test_client_that_waits_for_a_disposed_pool_gets_a_turn(single: Database) -> None:
    async with single.read() as session:
        await session.execute(ONE)
        waiting = asyncio.create_task(backend(single))
        await asyncio.sleep(0.05)
        await single.dispose()
    async with asyncio.timeout(10):
        assert await waiting


async def test_connections_in_use_are_closed_after_the_pool(
    settings: Settings, open_database: Callable[..., Database], live_database: Database
) -> None:
    url = settings.database_url.update_query_dict({"application_name": "disposed"})
    database = open_database(database_url=url)
    others = text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = 'disposed'"
    )

    async with database.read() as session, database.transaction() as other:
        await session.execute(ONE)
        await other.execute(ONE)
        await database.dispose()
    async with live_database.read() as observer, asyncio.timeout(5):
        while await observer.scalar(others):
            await asyncio.sleep(0.01)


async def test_server_that_hangs_does_not_hold_up_the_exit(
    settings: Settings, open_database: Callable[..., Database]
) -> None:
    async with proxy_to(settings.database_url) as proxy:
        database = open_database(database_url=proxy.url, database_connect_timeout=0.3)
        await at_once(database, 3)
        proxy.freeze()

        async with asyncio.timeout(5):
            await database.dispose()


# Connections that are dead


async def test_connection_that_was_just_lost_is_noticed(
    single: Database, open_database: Callable[..., Database]
) -> None:
    """Although it is still trusted: the client has seen it close."""
    killer = open_database()
    await killer.dispose()
    lost = await backend(single)
    async with killer.transaction() as session:
        await session.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": lost})
    await asyncio.sleep(0.03)

    assert await backend(single) != lost


async def test_connections_that_were_reset_while_idle_are_replaced(
    settings: Settings, open_database: Callable[..., Database]
) -> None:
    """A ping finds the first one dead. The others are closed without a ping."""
    async with proxy_to(settings.database_url) as proxy:
        database = open_database(database_url=proxy.url, database_read_pool_size=3)
        lost = await at_once(database, 3)
        proxy.reset()
        await asyncio.sleep(0.15)

        async with AsyncExitStack() as stack:
            sessions = [await stack.enter_async_context(database.read()) for _ in range(3)]
            found = {await session.scalar(PID) for session in sessions}
        assert len(found) == 3
        assert not found & lost


async def test_idle_connection_that_died_is_replaced(
    single: Database, open_database: Callable[..., Database]
) -> None:
    lost = await backend(single)
    await terminate(open_database(), lost)
    await asyncio.sleep(0.15)

    assert await backend(single) != lost


class Pings:
    """Counts the pings of an engine."""

    def __init__(self, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.number = 0
        dialect = engine.sync_engine.dialect
        ping = dialect.do_ping

        def count(connection: Any) -> bool:
            self.number += 1
            return ping(connection)

        monkeypatch.setattr(dialect, "do_ping", count)


async def test_others_are_replaced_unasked_when_one_was_found_dead(
    open_database: Callable[..., Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a restart of the server would cost each of them a ping, or what a ping waits for."""
    database = open_database(database_read_pool_size=4)
    lost = await at_once(database, 4)
    await terminate(open_database(), *lost)
    await asyncio.sleep(0.15)
    pings = Pings(database.reader, monkeypatch)

    async with AsyncExitStack() as stack:
        sessions = [await stack.enter_async_context(database.read()) for _ in range(4)]
        found = {await session.scalar(PID) for session in sessions}

    assert len(found) == 4
    assert not found & lost
    assert pings.number == 1


async def test_connection_is_not_trusted_for_longer_than_a_tenth_of_a_second(
    single: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sleep(single, 0)
    pings = Pings(single.reader, monkeypatch)
    for _ in range(3):
        await sleep(single, 0)
    assert pings.number == 0

    await asyncio.sleep(0.15)
    await sleep(single, 0)
    assert pings.number == 1


@pytest.mark.parametrize(
    ("trusted_seconds", "pre_ping", "pings"), [(0, True, 3), (60, True, 0), (0, False, 0)]
)
async def test_connection_that_was_just_in_use_is_not_pinged(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    trusted_seconds: float,
    pings: int,
    *,
    pre_ping: bool,
) -> None:
    engine = make_engine(
        settings.database_url,
        settings.model_copy(update={"database_pool_pre_ping": pre_ping}),
        pool_size=1,
        trusted_seconds=trusted_seconds,
    )
    counted = Pings(engine, monkeypatch)
    for _ in range(4):  # a new connection is not pinged either
        async with engine.connect() as connection:
            await connection.execute(ONE)
    await engine.dispose()

    assert counted.number == pings


async def test_ping_that_hangs_is_ended_and_the_connection_replaced(
    settings: Settings, open_database: Callable[..., Database]
) -> None:
    async with proxy_to(settings.database_url) as proxy:
        database = open_database(
            database_url=proxy.url, database_connect_timeout=0.3, database_read_pool_size=3
        )
        await at_once(database, 3)
        await asyncio.sleep(0.15)
        proxy.freeze()
        proxy.thaw_for_new_connections()

        start = time.monotonic()
        await at_once(database, 6)

    assert 0.3 <= time.monotonic() - start < 3


@pytest.mark.filterwarnings("error")
async def test_client_cancelled_in_the_middle_of_a_ping_leaves_nothing_behind(
    settings: Settings, open_database: Callable[..., Database]
) -> None:
    async with proxy_to(settings.database_url) as proxy:
        database = open_database(database_url=proxy.url, database_read_pool_size=1)
        lost = await backend(database)
        await asyncio.sleep(0.15)
        proxy.freeze()
        proxy.thaw_for_new_connections()
        task = asyncio.create_task(sleep(database, 0))
        await asyncio.sleep(0.1)
        task.cancel()
        async with asyncio.timeout(10):
            await asyncio.gather(task, return_exceptions=True)
            assert await backend(database) != lost
        gc.collect()


async def test_dead_connections_are_replaced_without_an_error_of_a_request(
    open_database: Callable[..., Database],
) -> None:
    database = open_database(database_read_pool_size=3)
    lost = await at_once(database, 3)
    await terminate(open_database(), *lost)
    for _ in range(3):
        assert await backend(database) not in lost


# AUTOCOMMIT for single statements


@pytest.mark.parametrize("use", ["the engine", "one with options"])
async def test_connection_of_a_single_statement_begins_transactions_for_others(
    single: Database, use: str
) -> None:
    transaction_id = text("SELECT pg_current_xact_id()::text")
    engine = single.writer
    if use == "one with options":
        engine = engine.execution_options(a="b")

    async def look(connection: AsyncSession | AsyncConnection) -> tuple[int, set[str]]:
        """Return who serves the connection, and the transactions of three statements."""
        process = (await connection.execute(PID)).scalar_one()
        found = [(await connection.execute(transaction_id)).scalar_one() for _ in range(3)]
        return process, set(found)

    seen = []
    for _ in range(2):
        async with single.statement() as session:
            seen.append(await look(session))
        async with engine.connect() as connection:
            seen.append(await look(connection))

    assert len({process for process, _ in seen}) == 1
    assert [len(transactions) for _, transactions in seen] == [3, 1, 3, 1]


@forgetful
async def test_connection_that_cannot_be_set_is_replaced(
    single: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def number() -> int:
        async with single.statement() as session:
            found: int = await session.scalar(PID)
            return found

    lost = await number()
    dialect = single.writer.sync_engine.dialect

    def fail(*_: object) -> None:
        await_(asyncio.sleep(0))
        raise TimeoutError("no response")

    with monkeypatch.context() as patch:
        patch.setattr(dialect, "set_isolation_level", fail)
        for _ in range(3):  # more often than there are turns
            with pytest.raises(TimeoutError):
                await number()
            gc.collect()

    assert pool_of(single.writer).checkedout() == 0
    assert await number() != lost


# The log


async def test_what_the_pool_does_is_no_message_of_the_app(
    open_database: Callable[..., Database], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "app")
    database = open_database()
    await at_once(database, 3)
    await database.dispose()

    assert caplog.messages == []


@pytest.fixture(autouse=True)
async def no_warning_comes_later() -> AsyncGenerator[None]:
    yield
    gc.collect(1)  # what a test has just made; all objects would take half a second each time
