"""Sessions: for writing and for reading, and the session of a request.

The application's lifespan owns the one `Database`, which connects at the first statement.
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
    budgeted,
    counted,
    counted_until_release,
    enter_budget,
    exit_budget,
)
from app.core.database.engines import TRUSTED_SECONDS, make_reader, make_writer
from app.core.database.errors import FailedTransactionError, ReadOnlySessionError, require_success
from app.core.database.replica import Replica


class CountedTransaction(AsyncSessionTransaction):
    """A transaction or savepoint that counts, and refuses to commit after a failed statement."""

    @property
    def budget(self) -> Budget | None:
        return cast("CountedSession", self.session).budget

    start = counted(AsyncSessionTransaction.start)
    rollback = counted(AsyncSessionTransaction.rollback)

    @counted
    async def commit(self) -> None:
        """Commit. Raises `FailedTransactionError` if a statement has failed."""
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
    """A session whose time in the database counts against its budget, or else the current one.

    Listening to SQLAlchemy's events instead costs too much (see docs/decisions/0006). The methods
    that are missing here call others that are not: a test compares the list with SQLAlchemy's.
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
    connection = counted_until_release(AsyncSession.connection)
    stream = counted_until_release(AsyncSession.stream)

    def begin(self) -> AsyncSessionTransaction:
        """Return a transaction to enter: `async with session.begin(): ...`."""
        return CountedTransaction(self)

    def begin_nested(self) -> AsyncSessionTransaction:
        """Return a savepoint to enter: `async with session.begin_nested(): ...`."""
        return CountedTransaction(self, nested=True)


class WriteSession(CountedSession):
    """A session that refuses to commit after a failed statement."""

    async def commit(self) -> None:
        """Commit. Raises `FailedTransactionError` if a statement has failed."""
        await require_success(self)
        await super().commit()


class ReadSession(CountedSession):
    """A session on an engine on which PostgreSQL refuses writes."""

    async def commit(self) -> None:
        """Raise `ReadOnlySessionError` for unflushed changes, which would be lost silently."""
        if self.identity_map.check_modified() or self.new or self.deleted:
            raise ReadOnlySessionError


class PooledReadSession(ReadSession):
    """A read session behind a pooler, where reads run in a transaction."""

    async def commit(self) -> None:
        """End the transaction. Raises `ReadOnlySessionError` as `ReadSession` does."""
        await super().commit()
        await self.rollback()  # it costs as much as COMMIT


def _sessionmaker(
    engine: AsyncEngine, session_class: type[CountedSession]
) -> async_sessionmaker[CountedSession]:
    # close_resets_only: by default a closed session can be used again, in a transaction that nobody
    # would commit.
    return async_sessionmaker(
        engine, class_=session_class, expire_on_commit=False, close_resets_only=False
    )


class Database:
    """The connection pools, and the sessions on them.

    Creating it opens no connection.
    """

    def __init__(self, settings: DatabaseSettings) -> None:
        self.settings = settings
        self.writer = make_writer(settings)
        self.reader = make_reader(settings.database_url, settings, trusted_seconds=TRUSTED_SECONDS)
        self.write_sessions = _sessionmaker(self.writer, WriteSession)
        read_session = PooledReadSession if settings.database_pooler else ReadSession
        self.read_sessions = _sessionmaker(self.reader, read_session)
        self.replica: Replica[CountedSession] | None = None
        if settings.database_replica_url:
            # Always pinged: once a read has started, it cannot move to the primary.
            engine = make_reader(settings.database_replica_url, settings, trusted_seconds=0)
            self.replica = Replica(
                engine, _sessionmaker(engine, read_session), settings.database_connect_timeout
            )
        statement_engine = self.writer
        if not settings.database_pooler:
            statement_engine = self.writer.execution_options(isolation_level="AUTOCOMMIT")
        self.statement_sessions = _sessionmaker(statement_engine, WriteSession)

    def budget(self, seconds: float | None = None, *, shared: bool = False) -> Budget:
        """Return a new budget of `seconds`, by default `DATABASE_DEADLINE`."""
        return Budget(
            self.settings.database_deadline if seconds is None else seconds,
            strict=self.settings.database_second_connection == "raise",
            shared=shared,
        )

    async def open_write_session(self) -> CountedSession:
        """Return a session whose first statement starts a transaction."""
        return self.write_sessions()

    async def open_read_session(self, *, newest: bool = True) -> CountedSession:
        """Return a read session, on the replica if that is up and `newest` is false."""
        session = await self.replica.open() if self.replica and not newest else None
        return session or self.read_sessions()

    @asynccontextmanager
    async def transaction(self, seconds: float | None = None) -> AsyncGenerator[AsyncSession]:
        """Open a session in a transaction, and commit it at the end or roll back on an error.

        It may spend `seconds` in the database, by default `DATABASE_DEADLINE`. Within a request the
        request's budget applies instead. Raises `FailedTransactionError` if the error of a
        statement was suppressed, and `UnavailableError` if the database is unavailable or slow.
        """
        with budgeted(self.budget(seconds)) as budget:
            async with _committing(self.write_sessions(), budget) as session:
                yield session

    @asynccontextmanager
    async def statement(self) -> AsyncGenerator[AsyncSession]:
        """Open a session for a single statement, which commits itself (AUTOCOMMIT).

        For rows with many concurrent writers, such as counters. A statement locks the row only
        while it runs, a transaction until the event loop gets to its COMMIT. Behind a pooler it
        runs in a transaction nevertheless. Raises `UnavailableError` as `transaction()` does.
        """
        with budgeted(self.budget()) as budget:
            async with _committing(self.statement_sessions(), budget) as session:
                yield session

    @asynccontextmanager
    async def read(
        self, seconds: float | None = None, *, newest: bool = True
    ) -> AsyncGenerator[AsyncSession]:
        """Open a read session. Raises `ReadOnlySessionError` if it is used to write.

        Unless the `newest` state is needed, the session is on the replica while that is up.
        `seconds` and `UnavailableError` are as in `transaction()`.
        """
        with budgeted(self.budget(seconds)) as budget:
            async with _committing(await self.open_read_session(newest=newest), budget) as session:
                yield session

    async def dispose(self) -> None:
        """Close all pooled connections, but give up on a server that hangs."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.settings.database_connect_timeout):
                await self.writer.dispose()
                await self.reader.dispose()
                if self.replica:
                    await self.replica.engine.dispose()


@asynccontextmanager
async def _committing(session: CountedSession, budget: Budget) -> AsyncGenerator[AsyncSession]:
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
    await AsyncSession.close(session)  # not counted: nothing is left to ask the database


async def _roll_back(session: AsyncSession) -> None:
    async with session:
        pass  # leaving the block is shielded from cancellation, which must not stop the ROLLBACK


class UnitOfWork:
    """The session of a request: opened on first use, committed at the end, rolled back on an error.

    The edge (`app.core.http.edge`) enters it around the handler. `on_open` is called with the
    session when it is opened.
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
        """Return the session, opened on the first call. Raises `UnavailableError`."""
        if self.opened is None:
            self.opened = await self._open_session()
            if self._on_open:
                await self._on_open(self.opened)
        return self.opened

    async def __aenter__(self) -> None:
        self._previous_budget = enter_budget(self._budget)
        self._previous_work = _current_work.get()
        _current_work.set(self)

    async def __aexit__(
        self, _kind: object, error: BaseException | None, _traceback: object
    ) -> None:
        try:
            if self.opened and error is None:
                await _commit(self.opened)
            elif self.opened:
                await _roll_back(self.opened)
        finally:
            exit_budget(self._previous_budget)
            _current_work.set(self._previous_work)


_current_work: Final[ContextVar[UnitOfWork | None]] = ContextVar("unit_of_work", default=None)


async def get_async_session() -> AsyncSession:
    """Return the session of the running request: read-only for safe methods, else a transaction.

    The edge commits it after the handler and before the response. Raises `RuntimeError` outside of
    a request, and `UnavailableError`.
    """
    work = _current_work.get()
    if work is None:
        raise RuntimeError(
            "There is no session of a request here. Create the router with route_class=EdgeRoute; "
            "in WebSocket routes, jobs and commands use database.transaction() or database.read()."
        )
    return await work.session()


async def get_open_session() -> Callable[[], Awaitable[AsyncSession]]:
    """Return `get_async_session`, for routes that throttle, hash or call another system first.

    Until they call it the request holds no connection, and no idempotency key is claimed.
    """
    return get_async_session
