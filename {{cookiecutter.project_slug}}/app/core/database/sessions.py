"""Sessions for writing and for reading.

The application's lifespan owns the one `Database`, which connects at the first statement.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session

from app.core.config import DatabaseSettings
from app.core.database.budget import Budget, budgeted
from app.core.database.counted_sessions import (
    CountedSession,
    PooledReadSession,
    ReadSession,
    RoutedSession,
    TransactionCounts,
    WriteSession,
)
from app.core.database.engines import TRUSTED_SECONDS, make_reader, make_searcher, make_writer
from app.core.database.replica import Replica


def _sessionmaker(
    engine: AsyncEngine,
    session_class: type[CountedSession],
    *,
    is_routed: bool = False,
    info: Mapping[str, object] | None = None,
) -> async_sessionmaker[CountedSession]:
    # close_resets_only: by default a closed session can be used again, in a transaction that nobody
    # would commit.
    return async_sessionmaker(
        engine,
        class_=session_class,
        sync_session_class=RoutedSession if is_routed else Session,
        expire_on_commit=False,
        close_resets_only=False,
        info=dict(info or {}),
    )


class Database:
    """The connection pools, and the sessions on them."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self.settings = settings
        self.writer = make_writer(settings)
        self.reader = make_reader(settings.database_url, settings, trusted_seconds=TRUSTED_SECONDS)
        self.searcher = make_searcher(
            settings.database_url, settings, trusted_seconds=TRUSTED_SECONDS
        )
        self.transactions = TransactionCounts()  # of the writer
        counts = {"transactions": self.transactions}
        self.write_sessions = _sessionmaker(self.writer, WriteSession, info=counts)
        read_session_class = PooledReadSession if settings.database_pooler else ReadSession
        url = settings.database_replica_url
        self.read_sessions = _sessionmaker(self.reader, read_session_class, is_routed=bool(url))
        self.search_sessions = _sessionmaker(self.searcher, read_session_class, is_routed=bool(url))
        self.replica: Replica | None = None
        self.search_replica: Replica | None = None
        if url:
            # Always pinged: once a read has started, it cannot move to the primary.
            self.replica, self.search_replica = (
                Replica(engine, settings.database_connect_timeout + settings.database_pool_timeout)
                for engine in (
                    make_reader(url, settings, trusted_seconds=0, is_replica=True),
                    make_searcher(url, settings, trusted_seconds=0, is_replica=True),
                )
            )
        statement_engine = self.writer
        if not settings.database_pooler:
            statement_engine = self.writer.execution_options(isolation_level="AUTOCOMMIT")
        self.statement_sessions = _sessionmaker(statement_engine, WriteSession, info=counts)

    @property
    def engines(self) -> dict[str, AsyncEngine]:
        """The engines by name, each with a connection pool of its own."""
        engines = {"writer": self.writer, "reader": self.reader, "searcher": self.searcher}
        replicas = {"replica": self.replica, "replica_searcher": self.search_replica}
        return engines | {name: one.engine for name, one in replicas.items() if one}

    def budget(self, seconds: float | None = None, *, shared: bool = False) -> Budget:
        """Return a new budget of `seconds`, by default `DATABASE_DEADLINE`."""
        return Budget(
            self.settings.database_deadline if seconds is None else seconds,
            strict=self.settings.database_second_connection == "raise",
            shared=shared,
        )

    def open_write_session(self) -> CountedSession:
        """Return a session whose first statement starts a transaction."""
        return self.write_sessions()

    def open_read_session(self, *, newest: bool = True, searches: bool = False) -> CountedSession:
        """Return a read session. If it `searches`, it uses the pool for that.

        Its first statement chooses the replica if that is up, unless the `newest` state is needed.
        """
        session = self.search_sessions() if searches else self.read_sessions()
        replica = self.search_replica if searches else self.replica
        if replica and not newest:
            session.choose_by(replica.connect)
        return session

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
    async def statement(self, seconds: float | None = None) -> AsyncGenerator[AsyncSession]:
        """Open a session for a single statement, which commits itself (AUTOCOMMIT).

        For rows with many concurrent writers, such as counters. A statement locks the row only
        while it runs, a transaction until the event loop gets to its COMMIT. Behind a pooler it
        runs in a transaction nevertheless. `seconds` and `UnavailableError` are as in
        `transaction()`.
        """
        with budgeted(self.budget(seconds)) as budget:
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
            async with _committing(self.open_read_session(newest=newest), budget) as session:
                yield session

    async def report_replica(self) -> None:
        """Log a warning if the replica is down. The service starts without it."""
        if self.replica:
            async with self.read_sessions() as session:
                await self.replica.connect(session)

    async def dispose(self) -> None:
        """Close all pooled connections, but give up on a server that hangs."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.settings.database_connect_timeout):
                for engine in self.engines.values():
                    await engine.dispose()


@asynccontextmanager
async def _committing(session: CountedSession, budget: Budget) -> AsyncGenerator[AsyncSession]:
    session.budget = budget
    try:
        yield session
    except BaseException:
        await roll_back(session)
        raise
    await commit(session)


async def commit(session: CountedSession) -> None:
    """Commit and close a session. Rolls back if that fails."""
    try:
        await session.finish()
    except BaseException:
        await roll_back(session)
        raise


async def roll_back(session: CountedSession) -> None:
    """Roll back and close a session."""
    if isinstance(session, WriteSession) and session.in_transaction():
        session.transactions.note_rollback()
    async with session:
        pass  # leaving the block is shielded from cancellation, which must not stop the ROLLBACK
