"""The two kinds of session, and the one that each request has.

Nothing here connects before the first statement, and nothing is a global: the lifespan of the
application owns the one `Database` and disposes of it.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Final, cast

from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    AsyncSessionTransaction,
    async_sessionmaker,
)

from app.core.config import DatabaseSettings
from app.core.database.budget import (
    Budget,
    begin_budget,
    budgeted,
    counted,
    counted_on,
    end_budget,
)
from app.core.database.engines import TRUSTED_SECONDS, make_reader, make_writer
from app.core.database.errors import (
    FailedTransactionError,
    ReadOnlySessionError,
    require_success,
)
from app.core.database.replica import Replica


class CountedTransaction(AsyncSessionTransaction):
    """A transaction or savepoint that counts, and commits nothing but what has succeeded."""

    @property
    def budget(self) -> Budget | None:
        return cast("CountedSession", self.session).budget

    start = counted(AsyncSessionTransaction.start)
    rollback = counted(AsyncSessionTransaction.rollback)

    @counted
    async def commit(self) -> None:
        """Commit. Raises `FailedTransactionError`."""
        await self._require_success()
        await super().commit()

    @counted
    async def __aexit__(
        self, kind: Any, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            try:
                await self._require_success()
            except FailedTransactionError as failure:
                await super().__aexit__(type(failure), failure, failure.__traceback__)
                raise
        await super().__aexit__(kind, error, traceback)

    async def _require_success(self) -> None:
        if not self.nested:  # PostgreSQL itself refuses to release a savepoint that has failed
            await require_success(self.session)


class CountedSession(AsyncSession):
    """A session whose time in the database is counted against the budget of who uses it.

    SQLAlchemy's events would tell the same, but cost a tenth of a small request (0006 in
    docs/decisions). Methods that are missing here call others that are not; a test compares the
    list with SQLAlchemy's. After `connection()` and `stream()` all time counts until the
    connection is given back: what they return does not pass through the session.
    """

    budget: Budget | None = None

    execute = counted(AsyncSession.execute)
    scalar = counted(AsyncSession.scalar)  # type: ignore[assignment, arg-type]  # overloaded
    get = counted(AsyncSession.get)
    get_one = counted(AsyncSession.get_one)
    refresh = counted(AsyncSession.refresh)
    merge = counted(AsyncSession.merge)
    merge_all = counted(AsyncSession.merge_all)
    delete = counted(AsyncSession.delete)
    delete_all = counted(AsyncSession.delete_all)
    flush = counted(AsyncSession.flush)
    run_sync = counted(AsyncSession.run_sync)
    commit = counted(AsyncSession.commit)
    rollback = counted(AsyncSession.rollback)
    close = counted(AsyncSession.close)
    reset = counted(AsyncSession.reset)
    invalidate = counted(AsyncSession.invalidate)
    connection = counted_on(AsyncSession.connection)
    stream = counted_on(AsyncSession.stream)

    def begin(self) -> AsyncSessionTransaction:
        return CountedTransaction(self)

    def begin_nested(self) -> AsyncSessionTransaction:
        return CountedTransaction(self, nested=True)


class WriteSession(CountedSession):
    """A session that commits nothing but what has succeeded."""

    async def commit(self) -> None:
        """Commit. Raises `FailedTransactionError`."""
        await require_success(self)
        await super().commit()


class ReadSession(CountedSession):
    """A session on an engine whose statements PostgreSQL refuses if they write."""

    async def commit(self) -> None:
        """Raise `ReadOnlySessionError` for changes that nobody flushed; there is no other.

        They would be lost without a word.
        """
        if self.identity_map.check_modified() or self.new or self.deleted:
            raise ReadOnlySessionError


class PooledReadSession(ReadSession):
    """A read session behind a pooler, where reads are a transaction."""

    async def commit(self) -> None:
        await super().commit()
        await self.rollback()  # which costs as much as COMMIT


def _sessions(
    engine: AsyncEngine, session_class: type[CountedSession]
) -> async_sessionmaker[CountedSession]:
    # Once closed, a session is at its end: using it again raises, where SQLAlchemy's default
    # would open a transaction that nobody commits.
    return async_sessionmaker(
        engine, class_=session_class, expire_on_commit=False, close_resets_only=False
    )


class Database:
    """The connection pools and the sessions that use them.

    It makes no connection when it is created.
    """

    def __init__(self, settings: DatabaseSettings) -> None:
        self.settings = settings
        self.writer = make_writer(settings)
        self.reader = make_reader(settings.database_url, settings, trusted_seconds=TRUSTED_SECONDS)
        self.write_sessions = _sessions(self.writer, WriteSession)
        read_session_class = PooledReadSession if settings.database_pooler else ReadSession
        self.read_sessions = _sessions(self.reader, read_session_class)
        self.replica: Replica[CountedSession] | None = None
        if settings.database_replica_url:
            # No trust: a read that has begun cannot move to the primary when the replica hangs.
            engine = make_reader(settings.database_replica_url, settings, trusted_seconds=0)
            self.replica = Replica(
                engine, _sessions(engine, read_session_class), settings.database_connect_timeout
            )
        statement_engine = self.writer
        if not settings.database_pooler:
            statement_engine = self.writer.execution_options(isolation_level="AUTOCOMMIT")
        self.statement_sessions = _sessions(statement_engine, WriteSession)

    def budget(self, seconds: float | None = None, *, shared: bool = False) -> Budget:
        """Return what one request (`shared`) or block of code may use of the database."""
        return Budget(
            self.settings.database_deadline if seconds is None else seconds,
            strict=self.settings.database_second_connection == "raise",
            shared=shared,
        )

    async def open_write_session(self) -> CountedSession:
        """Return a session whose first statement begins a transaction."""
        return self.write_sessions()

    async def open_read_session(self, *, newest: bool = True) -> CountedSession:
        """Return a session that reads: of the replica, if it is up and may be behind."""
        session = await self.replica.open() if self.replica and not newest else None
        return session or self.read_sessions()

    @asynccontextmanager
    async def transaction(self, seconds: float | None = None) -> AsyncGenerator[AsyncSession]:
        """Open a session in a transaction that commits at the end, or rolls back on an error.

        `seconds` are those that it may spend in the database, by default `DATABASE_DEADLINE`;
        within a request, the request's own count. Raises `FailedTransactionError` where the error
        of a statement was caught and forgotten, and `UnavailableError` if there is no connection
        to be had, or no answer in time.
        """
        with budgeted(self.budget(seconds)) as budget:
            async with _ending(self.write_sessions(), budget) as session:
                yield session

    @asynccontextmanager
    async def statement(self) -> AsyncGenerator[AsyncSession]:
        """Open a session for one statement, which is a transaction of its own.

        For rows that many write at once, such as counters: a statement keeps such a row locked for
        as long as it runs, a transaction until the event loop comes round to its COMMIT. Behind a
        pooler it is a transaction nevertheless. Raises `UnavailableError` as `transaction()` does.
        """
        with budgeted(self.budget()) as budget:
            async with _ending(self.statement_sessions(), budget) as session:
                yield session

    @asynccontextmanager
    async def read(
        self, seconds: float | None = None, *, newest: bool = True
    ) -> AsyncGenerator[AsyncSession]:
        """Open a session that reads; raise `ReadOnlySessionError` if it was used to write.

        Where the newest state is not needed, a replica serves it, if there is one and it is up.
        `seconds` and `UnavailableError` are as with `transaction()`.
        """
        with budgeted(self.budget(seconds)) as budget:
            async with _ending(await self.open_read_session(newest=newest), budget) as session:
                yield session

    async def dispose(self) -> None:
        """Close every connection of the pools. A server that hangs does not hold up the exit."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.settings.database_connect_timeout):
                await self.writer.dispose()
                await self.reader.dispose()
                if self.replica:
                    await self.replica.engine.dispose()


@asynccontextmanager
async def _ending(session: CountedSession, budget: Budget) -> AsyncGenerator[AsyncSession]:
    session.budget = budget
    try:
        yield session
    except BaseException:
        await _roll_back(session)
        raise
    await _commit(session)


async def _commit(session: AsyncSession) -> None:
    try:
        await session.commit()
    except BaseException:
        await _roll_back(session)
        raise
    await AsyncSession.close(session)  # not counted: it has nothing left to ask


async def _roll_back(session: AsyncSession) -> None:
    async with session:
        pass  # its end is shielded from a cancellation, which a ROLLBACK has to outlive


class UnitOfWork:
    """The work of one request in the database: a session that is opened when it is asked for.

    The edge (`app.core.http.edge`) enters it around the handler. Its end commits what the session
    has done, or rolls it back on an error. `on_open` is called with the new session.
    """

    def __init__(
        self,
        budget: Budget,
        open_session: Callable[[], Awaitable[AsyncSession]],
        on_open: Callable[[AsyncSession], Awaitable[None]] | None = None,
    ) -> None:
        self.opened: AsyncSession | None = None
        self._budget = budget
        self._open_session = open_session
        self._on_open = on_open

    async def session(self) -> AsyncSession:
        """Return the session, the same each time. Raises `UnavailableError`."""
        if self.opened is None:
            self.opened = await self._open_session()
            if self._on_open:
                await self._on_open(self.opened)
        return self.opened

    async def __aenter__(self) -> None:
        self._tokens = begin_budget(self._budget), _unit.set(self)

    async def __aexit__(
        self, _kind: object, error: BaseException | None, _traceback: object
    ) -> None:
        try:
            if self.opened and error is None:
                await _commit(self.opened)
            elif self.opened:
                await _roll_back(self.opened)
        finally:
            budget, unit = self._tokens
            end_budget(budget)
            _unit.reset(unit)


_unit: Final[ContextVar[UnitOfWork]] = ContextVar("unit_of_work")


async def get_async_session() -> AsyncSession:
    """Return the session of the running request: read-only for safe methods, else a transaction.

    The edge commits it when the handler is done, and before the response is sent.
    """
    try:
        unit = _unit.get()
    except LookupError:
        raise RuntimeError(
            "No request has a session here. Give the router `route_class=EdgeRoute`; in WebSocket "
            "routes, jobs and commands use database.transaction() or database.read()."
        ) from None
    return await unit.session()


async def get_open_session() -> Callable[[], Awaitable[AsyncSession]]:
    """Return what opens the session of the request, instead of opening it.

    For routes that throttle, hash or call another system first: until then the request holds no
    connection, and no key is claimed.
    """
    return get_async_session
