"""A request waits for the database so many seconds in sum; what it does in between is free."""

import asyncio
import gc
import inspect
import time
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, Request
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session
from sqlalchemy.util import await_

from app.core.config import Settings
from app.core.database.budget import Budget, budgeted, current_budget
from app.core.database.counted_sessions import CountedSession, WriteSession
from app.core.database.sessions import Database
from app.core.http.edge import EdgeRoute
from app.dependencies.database import SessionDep
from app.exceptions import UnavailableError
from app.main import create_app
from app.models.user import User
from tests.conftest import http_client
from tests.platform.database.proxy import Proxy, proxy_to

ONE = text("SELECT 1")
SECONDS = 0.6
LONGER = SECONDS * 1.1  # than the whole budget
# The server itself would let a statement run for a minute.
HASTY = {"database_deadline": SECONDS, "database_statement_timeout": 60}
router = APIRouter(route_class=EdgeRoute)


async def ask(session: AsyncSession, seconds: float) -> None:
    await session.execute(text(f"SELECT pg_sleep({seconds})"))


async def ask_database(database: Database, seconds: float) -> None:
    async with database.read() as session:
        await ask(session, seconds)


@router.api_route("/busy-elsewhere", methods=["GET", "POST"])
async def be_busy_elsewhere(session: SessionDep) -> None:
    """Spend longer than the budget before, between and after statements."""
    for _ in range(2):
        await asyncio.sleep(LONGER)
        await session.execute(ONE)
    await asyncio.sleep(LONGER)


@router.api_route("/breakpoint", methods=["GET", "POST"])
async def stop_in_a_debugger(session: SessionDep) -> None:
    """Block the event loop before, between and after statements."""
    for _ in range(2):
        time.sleep(LONGER)  # noqa: ASYNC251
        await session.execute(ONE)
    time.sleep(LONGER)  # noqa: ASYNC251


@router.post("/idle")
async def be_idle_in_a_transaction(session: SessionDep) -> None:
    await session.execute(ONE)
    await asyncio.sleep(SECONDS)
    await session.execute(ONE)


@router.post("/busy-in-a-savepoint")
async def be_busy_in_a_savepoint(session: SessionDep) -> None:
    async with session.begin_nested():
        await asyncio.sleep(LONGER)
        await session.execute(ONE)
        await asyncio.sleep(LONGER)
    await asyncio.sleep(LONGER)


@router.api_route("/many-statements", methods=["GET", "POST"])
async def ask_often(session: SessionDep) -> None:
    """Ask four times, each time less than the budget."""
    for _ in range(4):
        await ask(session, SECONDS / 3)


@router.get("/few-statements")
async def ask_twice(session: SessionDep) -> None:
    for _ in range(2):
        await ask(session, SECONDS / 4)


@pytest.fixture
async def hasty(
    settings: Settings, open_database: Callable[..., Database]
) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of an app whose requests may ask the database for a moment only."""
    app = create_app(settings)
    app.include_router(router)
    app.state.database = open_database(**HASTY)
    async with http_client(app) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/busy-elsewhere"),
        ("POST", "/busy-elsewhere"),
        ("POST", "/busy-in-a-savepoint"),
        ("GET", "/breakpoint"),
        ("POST", "/breakpoint"),
    ],
)
async def test_time_in_which_the_database_is_not_asked_is_free(
    hasty: httpx.AsyncClient, method: str, path: str
) -> None:
    assert (await hasty.request(method, path)).status_code == 200


async def test_transaction_that_is_idle_for_too_long_is_ended_by_postgresql(
    settings: Settings, open_database: Callable[..., Database]
) -> None:
    app = create_app(settings)
    app.include_router(router)
    app.state.database = open_database(database_idle_in_transaction_timeout=SECONDS / 3)
    async with http_client(app) as client:
        response = await client.post("/idle")

    assert response.status_code == 503
    assert response.json()["detail"] == "The transaction was idle for too long; nothing was written"


async def test_time_in_which_the_event_loop_is_blocked_is_not_that_of_the_database(
    open_database: Callable[..., Database],
) -> None:
    """As by a breakpoint in another request: the response of the database waits in the socket."""
    database = open_database(**HASTY)

    async def block() -> None:
        await asyncio.sleep(SECONDS / 6)
        time.sleep(SECONDS * 2)  # noqa: ASYNC251

    async with database.read() as session:
        asked = asyncio.create_task(ask(session, SECONDS / 3))
        await block()
        await asked
        await session.execute(ONE)


async def test_blocked_event_loop_gives_a_budget_more_time_once(
    open_database: Callable[..., Database],
) -> None:
    database = open_database(**HASTY)

    async with database.read() as session:
        asked = asyncio.create_task(ask(session, SECONDS * 50))
        await asyncio.sleep(SECONDS / 6)
        for _ in range(5):
            time.sleep(SECONDS * 0.58)  # noqa: ASYNC251 (each timer within is late)
            for _ in range(20):  # what ends the statement takes a few turns of the event loop
                await asyncio.sleep(0)
        assert asked.done()
        with pytest.raises(UnavailableError):
            await asked


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_slow_statements_add_up(hasty: httpx.AsyncClient, method: str) -> None:
    response = await hasty.request(method, "/many-statements")

    assert response.status_code == 503
    assert "took too long" in response.json()["detail"]
    assert (await hasty.get("/few-statements")).status_code == 200  # each request has its own


async def test_blocks_within_a_request_share_its_seconds(database: Database) -> None:
    with budgeted(database.budget(shared=True)):
        outer = current_budget()
        async with database.read():
            assert current_budget() is outer
    async with database.read():
        inner = current_budget()
        async with database.transaction():
            assert current_budget() is not inner


async def test_statement_that_outlives_the_budget_is_broken_off(
    open_database: Callable[..., Database],
) -> None:
    database = open_database(**HASTY)
    start = time.monotonic()

    with pytest.raises(UnavailableError, match="took too long"):
        await ask_database(database, 30)

    assert time.monotonic() - start < 10
    await ask_database(database, 0)  # the next one has a good connection


async def test_budget_that_is_used_up_has_no_further_connection(
    open_database: Callable[..., Database],
) -> None:
    database = open_database(**HASTY, database_pool_size=1)

    with budgeted(database.budget(shared=True)):
        with pytest.raises(UnavailableError):
            await ask_database(database, 30)
        for _ in range(3):
            with pytest.raises(UnavailableError, match="took too long"):
                await ask_database(database, 0)

    await ask_database(database, 0)  # its turn was given back


async def test_budget_that_is_used_up_by_connecting_gives_its_turn_back(
    open_database: Callable[..., Database],
) -> None:
    database = open_database(**HASTY, database_read_pool_size=1)
    start = time.monotonic()
    with delayed_connecting(database, 30):
        for _ in range(3):
            with pytest.raises(UnavailableError, match="took too long"):
                await ask_database(database, 0)

    assert time.monotonic() - start < 15
    await ask_database(database, 0)


async def test_budget_ends_the_wait_of_a_task_that_was_cancelled_before(
    open_database: Callable[..., Database],
) -> None:
    """Such as one that has left an `asyncio.TaskGroup` of Python 3.11 by an error."""
    database = open_database(**HASTY)

    async def ask_after_a_cancellation() -> None:
        task = asyncio.current_task()
        assert task
        task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
        assert task.cancelling() == 1
        await ask_database(database, 0)

    with (
        delayed_connecting(database, 30),
        pytest.raises(UnavailableError, match="took too long"),
    ):
        await asyncio.create_task(ask_after_a_cancellation())


@contextmanager
def delayed_connecting(database: Database, seconds: float) -> Generator[None]:
    """Let the server take so long to accept a connection."""
    dialects: list[Any] = [database.writer.dialect, database.reader.dialect]
    for dialect in dialects:

        def connect(*arguments: Any, connect: Any = dialect.connect, **options: Any) -> Any:
            await_(asyncio.sleep(seconds))
            return connect(*arguments, **options)

        dialect.connect = connect
    try:
        yield
    finally:
        for dialect in dialects:
            del dialect.connect


async def test_connecting_counts(open_database: Callable[..., Database]) -> None:
    database = open_database(**HASTY)

    with delayed_connecting(database, SECONDS / 2):
        with pytest.raises(UnavailableError, match="took too long"):
            await ask_database(database, SECONDS * 0.8)

        await ask_database(database, SECONDS * 0.1)


async def test_waiting_for_a_connection_counts(open_database: Callable[..., Database]) -> None:
    database = open_database(**HASTY, database_read_pool_size=1)

    async def hold() -> None:
        async with database.reader.connect() as connection:
            await connection.execute(ONE)
            await asyncio.sleep(SECONDS * 0.6)

    await ask_database(database, 0)
    holding = asyncio.create_task(hold())
    await asyncio.sleep(0.01)
    with pytest.raises(UnavailableError, match="took too long"):
        await ask_database(database, SECONDS * 0.6)
    await holding

    await ask_database(database, SECONDS * 0.6)


async def test_budget_bounds_the_wait_for_a_connection(
    open_database: Callable[..., Database],
) -> None:
    database = open_database(database_deadline=0.2, database_read_pool_size=1)

    async with database.reader.connect():
        with pytest.raises(UnavailableError, match="took too long"):
            await ask_database(database, 0)


async def test_connection_found_dead_stops_no_clock(open_database: Callable[..., Database]) -> None:
    """What the pool throws away on the way is not what the request holds."""
    database = open_database(**HASTY)
    async with database.read() as session:
        lost = await session.scalar(text("SELECT pg_backend_pid()"))
    async with database.transaction() as session:
        await session.execute(text(f"SELECT pg_terminate_backend({lost}, 5000)"))
    await asyncio.sleep(0.15)  # so long that it is pinged

    with pytest.raises(UnavailableError, match="took too long"):
        await ask_database(database, 30)


async def test_statement_goes_on_counting_when_another_one_has_ended(
    open_database: Callable[..., Database],
) -> None:
    """A request that asks twice at once, which production only logs, is bounded all the same."""
    database = open_database(**HASTY, database_second_connection="log")

    async def ask_long() -> None:
        with pytest.raises(UnavailableError):
            await ask_database(database, 30)

    with budgeted(database.budget(shared=True)):
        async with asyncio.timeout(10):
            await asyncio.gather(ask_long(), ask_database(database, SECONDS / 3))


async def test_cancellation_is_no_fault_of_the_database(
    open_database: Callable[..., Database],
) -> None:
    database = open_database()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await ask_database(database, 3)

    await ask_database(database, 0)


async def test_ping_that_is_cancelled_holds_no_connection(
    settings: Settings, open_database: Callable[..., Database]
) -> None:
    """A request that has given up on it may ask again."""
    async with proxy_to(settings.database_url) as proxy:
        database = open_database(database_url=proxy.url)
        await ask_database(database, 0)
        await asyncio.sleep(0.15)  # so long that it is pinged
        proxy.freeze()
        proxy.thaw_for_new_connections()
        with budgeted(database.budget(shared=True)):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await ask_database(database, 0)

            await ask_database(database, 0)


def timers() -> list[asyncio.TimerHandle]:
    """Return the timers of budgets that the event loop still has to run."""
    loop: Any = asyncio.get_running_loop()
    return [
        timer
        for timer in loop._scheduled
        if not timer.cancelled() and isinstance(getattr(timer._callback, "__self__", None), Budget)
    ]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("idle", [0, 0.15], ids=["", "after a ping"])
async def test_request_leaves_no_timer_and_no_garbage(
    settings: Settings, open_database: Callable[..., Database], method: str, idle: float
) -> None:
    seen: list[weakref.ref[Any]] = []
    others = timers()  # of tests before this one

    async def handle(request: Request, session: SessionDep) -> None:
        await session.execute(ONE)
        assert len(timers()) == len(others) + 1
        seen.extend(weakref.ref(each) for each in (request, session, current_budget()))

    app = create_app(settings)
    leaving = APIRouter(route_class=EdgeRoute)
    leaving.add_api_route("/leave", handle, methods=[method])
    app.include_router(leaving)
    app.state.database = open_database()
    async with http_client(app) as client:
        await client.request(method, "/leave")
        await asyncio.sleep(idle)
        seen.clear()
        gc.collect()
        gc.disable()
        try:
            response = await client.request(method, "/leave")
            assert timers() == others
            # A driver's own timers, of 0.1 s, hold the request until then.
            async with asyncio.timeout(10):
                while any(reference() for reference in seen):
                    await asyncio.sleep(0.05)
        finally:
            gc.enable()

    assert response.status_code == 200


async def test_session_that_asks_nothing_leaves_no_timer(
    open_database: Callable[..., Database],
) -> None:
    database = open_database()
    others = timers()  # of earlier tests, on a loaded machine
    async with database.transaction() as session:
        await session.flush()
        assert [timer for timer in timers() if timer not in others] == []


async def test_session_counts_against_the_budget_of_its_own_block(
    open_database: Callable[..., Database],
) -> None:
    """Also where it is used within another block."""
    database = open_database(**HASTY)

    async with database.read() as outer:
        async with database.read() as inner:
            for session in (inner, outer):
                await ask(session, SECONDS * 0.6)
        with pytest.raises(UnavailableError):
            async with database.read():
                await ask(outer, 30)


# A server that hangs keeps none of its own limits.
# A driver may warn of a cursor that was open when its connection was broken off.
broken_off = pytest.mark.filterwarnings("ignore:.*was deleted while still open:ResourceWarning")


@pytest.fixture
async def hanging(
    settings: Settings, open_database: Callable[..., Database]
) -> AsyncGenerator[tuple[Database, Proxy]]:
    async with proxy_to(settings.database_url) as proxy:
        # Short, because the tests wait for its end; they begin with a statement that takes no time.
        yield open_database(database_url=proxy.url, **HASTY | {"database_deadline": 0.3}), proxy
    gc.collect()  # within the test whose cursors it warns of


async def read_stream(session: AsyncSession) -> None:
    rows = await session.stream(text("SELECT generate_series(1, 3)"))
    assert [row[0] async for row in rows] == [1, 2, 3]


async def use_connection(session: AsyncSession) -> None:
    await (await session.connection()).execute(ONE)


async def use_savepoint(session: AsyncSession) -> None:
    async with session.begin_nested():
        pass


async def add(session: AsyncSession) -> User:
    user = User(email="ann@example.com", display_name="Ann")
    session.add(user)
    return user


async def flush(session: AsyncSession) -> None:
    await add(session)
    await session.flush()


# How each method of a session that asks the database is made to ask it.
WAYS: dict[str, Callable[[AsyncSession], Awaitable[object]]] = {
    "execute": lambda session: session.execute(ONE),
    "scalar": lambda session: session.scalar(ONE),
    "scalars": lambda session: session.scalars(ONE),
    "get": lambda session: session.get(User, 1),
    "get_one": lambda session: session.get_one(User, 1),
    "merge": lambda session: session.merge(User(id=1)),
    "merge_all": lambda session: session.merge_all([User(id=1)]),
    "flush": flush,
    "run_sync": lambda session: session.run_sync(lambda sync: sync.execute(ONE)),
    "stream": read_stream,
    "stream_scalars": lambda session: session.stream_scalars(ONE),
    "connection": use_connection,
    "begin_nested": use_savepoint,
    "commit": lambda session: session.commit(),
}


@broken_off
@pytest.mark.parametrize("name", WAYS)
async def test_nothing_that_asks_a_hanging_server_waits_for_ever(
    hanging: tuple[Database, Proxy], name: str
) -> None:
    database, proxy = hanging

    async def ask_while_it_hangs() -> None:
        async with database.transaction() as session:
            await session.execute(ONE)
            proxy.freeze()
            await WAYS[name](session)

    with pytest.raises(UnavailableError):
        async with asyncio.timeout(10):
            await ask_while_it_hangs()
    proxy.thaw()
    await ask_database(database, 0)


async def lose_row(session: AsyncSession) -> User:
    """Return a row whose attributes have to be read again."""
    await flush(session)
    user = (await session.scalars(select(User))).one()
    session.expire(user)
    return user


@pytest.mark.parametrize("name", ["refresh", "delete", "delete_all", "rollback", "close", "reset"])
async def test_nothing_that_ends_work_on_a_hanging_server_waits_for_ever(
    hanging: tuple[Database, Proxy], name: str
) -> None:
    database, proxy = hanging

    async def ask_while_it_hangs() -> None:
        async with database.transaction() as session:
            user = await lose_row(session)
            arguments: dict[str, list[Any]] = {
                "refresh": [user],
                "delete": [user],
                "delete_all": [[user]],
            }
            proxy.freeze()
            await getattr(session, name)(*arguments.get(name, []))
            if name == "close":
                raise UnavailableError("What follows would raise that the session is closed")

    with pytest.raises(UnavailableError):
        async with asyncio.timeout(10):
            await ask_while_it_hangs()


@broken_off
@pytest.mark.parametrize("way", ["savepoint", "transaction", "connection", "stream"])
async def test_end_of_a_block_on_a_hanging_server_does_not_wait_for_ever(
    hanging: tuple[Database, Proxy], way: str
) -> None:
    database, proxy = hanging

    async def end_while_it_hangs() -> None:
        async with database.transaction() as session:
            if way == "savepoint":
                async with session.begin_nested():
                    await session.execute(ONE)
                    proxy.freeze()
            elif way == "transaction":
                async with session.begin():
                    await session.execute(ONE)
                    proxy.freeze()
            elif way == "connection":
                connection = await session.connection()
                await session.execute(ONE)  # after which the connection still counts
                proxy.freeze()
                await connection.execute(ONE)
            else:
                rows = await session.stream(
                    text("SELECT repeat('x', 1000), generate_series(1, 1000)")
                )
                proxy.freeze()
                async for _ in rows:
                    pass

    with pytest.raises(UnavailableError):
        async with asyncio.timeout(10):
            await end_while_it_hangs()


async def test_server_that_hangs_while_it_is_connected_to_is_left(
    hanging: tuple[Database, Proxy],
) -> None:
    database, proxy = hanging
    proxy.freeze()

    with pytest.raises(UnavailableError, match="took too long"):
        async with asyncio.timeout(10):
            await ask_database(database, 0)


async def test_time_beside_a_replica_is_free(
    settings: Settings, open_database: Callable[..., Database]
) -> None:
    database = open_database(database_replica_url=settings.database_url, **HASTY)

    async with database.read(newest=False) as session:
        await asyncio.sleep(LONGER)
        await session.execute(ONE)
        await asyncio.sleep(LONGER)
        await session.execute(ONE)


# Coroutine methods of a session that need not be counted.
NOT_COUNTED = {
    "aclose": "calls close()",
    "scalars": "calls execute()",
    "stream_scalars": "calls stream()",
    "close_all": "deprecated, and no method of one session",
}


def coroutine_methods(session_class: type[AsyncSession]) -> set[str]:
    members = inspect.getmembers(session_class, inspect.iscoroutinefunction)
    return {name for name, _ in members if not name.startswith("_")}


def test_every_method_that_can_ask_the_database_is_counted() -> None:
    """Fails for a method that a new SQLAlchemy brings: count it, or say here why not."""
    counted = {name for name in coroutine_methods(AsyncSession) if name in vars(CountedSession)}

    assert coroutine_methods(AsyncSession) - counted == NOT_COUNTED.keys()
    assert issubclass(WriteSession, CountedSession)


@pytest.mark.parametrize(
    ("name", "called"), [("scalars", "execute"), ("aclose", "close"), ("stream_scalars", "stream")]
)
def test_method_that_is_not_counted_calls_one_that_is(name: str, called: str) -> None:
    assert f"self.{called}(" in inspect.getsource(getattr(AsyncSession, name))


def test_sessions_of_sqlalchemy_have_no_method_that_is_only_synchronous() -> None:
    """`begin` and `begin_nested` return what asks later; no other method hides a statement."""
    asking = {
        name
        for name, _ in inspect.getmembers(Session, inspect.isfunction)
        if not name.startswith("_")
    }
    known = coroutine_methods(AsyncSession) | {"begin", "begin_nested"}
    harmless = {
        "add", "add_all", "expire", "expire_all", "expunge", "expunge_all", "get_bind",
        "get_nested_transaction", "get_transaction", "in_nested_transaction", "in_transaction",
        "is_modified", "bind_mapper", "bind_table", "enable_relationship_loading",
    }  # fmt: skip

    assert asking & set(dir(AsyncSession)) - known - harmless == set()
