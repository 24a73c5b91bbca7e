"""The engine, the two kinds of session, and the dependency that opens one for a request.

Nothing here connects before the first statement, and nothing is a global: the lifespan of the
application owns the one `Database` and disposes of it.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import Request
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import ORMExecuteState, Session

from app.core.config import DatabaseSettings
from app.core.deadlines import deadline
from app.core.drivers import driver_for
from app.core.faults import report_faults
from app.exceptions import UnavailableError

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110, section 9.2.1


class ReadOnlySessionError(RuntimeError):
    """A programming error: code that serves a safe method tried to write."""


class ReadSession(Session):
    """A session that can only read.

    Its connection is on AUTOCOMMIT: without BEGIN and COMMIT a read saves two round trips, but
    each statement sees its own snapshot, and a write would be permanent at once.
    """

    def flush(self, objects: Any = None) -> None:  # noqa: ARG002 (the signature of Session)
        """Raise `ReadOnlySessionError` if there is anything to write."""
        if self.new or self.dirty or self.deleted:
            raise ReadOnlySessionError(
                "A read session cannot write. Safe HTTP methods get read sessions: "
                "change data in a POST, PUT, PATCH or DELETE route, or in database.transaction()."
            )


@event.listens_for(ReadSession, "do_orm_execute")
def _refuse_bulk_writes(state: ORMExecuteState) -> None:
    """INSERT, UPDATE and DELETE statements do not pass through a flush."""
    if state.is_insert or state.is_update or state.is_delete:
        raise ReadOnlySessionError("A read session cannot run INSERT, UPDATE or DELETE.")


class Database:
    """The connection pool and the sessions that use it.

    Raises `ConfigurationError` through its settings; makes no connection when it is created.
    """

    def __init__(self, settings: DatabaseSettings) -> None:
        self.settings = settings
        driver = driver_for(settings.database_url)
        self.engine = create_async_engine(
            settings.database_url,
            pool_size=settings.database_pool_size,
            max_overflow=settings.database_max_overflow,
            pool_timeout=settings.database_pool_timeout,
            pool_pre_ping=settings.database_pool_pre_ping,
            connect_args=driver.connect_args(settings),
            # Parameters may be secrets or personal data: they stay out of messages and logs.
            hide_parameters=True,
        )
        report_faults(self.engine, driver)
        # One for each connection there can be. Waiters are served in the order in which they
        # came; the pool itself wakes them in any order, and lets some wait for seconds.
        self._turns = asyncio.Semaphore(
            settings.database_pool_size + settings.database_max_overflow
        )
        self.write_sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        # An engine of its own for AUTOCOMMIT costs 10 % less per request than the same option set
        # on each session (measured). Both engines share one pool.
        self.read_sessions = async_sessionmaker(
            self.engine.execution_options(isolation_level="AUTOCOMMIT"),
            sync_session_class=ReadSession,
            expire_on_commit=False,
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[AsyncSession]:
        """Open a session in a transaction that commits at the end, or rolls back on an error.

        Raises `UnavailableError` if there is no connection to be had, or no answer in time.
        """
        async with self._turn(), self.write_sessions.begin() as session:
            yield session

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncSession]:
        """Open a session that reads; raise `ReadOnlySessionError` if it was used to write.

        Raises `UnavailableError` as `transaction()` does.
        """
        async with self._turn(), self.read_sessions() as session:
            yield session
            # Changes that nobody flushed would be lost without a word.
            session.sync_session.flush()

    @asynccontextmanager
    async def _turn(self) -> AsyncGenerator[None]:
        """Wait for one's turn to use a connection, then bound how long it is used."""
        try:
            async with asyncio.timeout(self.settings.database_pool_timeout):
                await self._turns.acquire()
        except TimeoutError:
            raise UnavailableError("Too many requests at once; none of this one was done") from None
        try:
            async with deadline(self.settings.database_deadline):
                yield
        finally:
            self._turns.release()

    async def dispose(self) -> None:
        """Close every connection of the pool."""
        await self.engine.dispose()


async def get_async_session(request: Request) -> AsyncGenerator[AsyncSession]:
    """Open the session of a request: read-only for safe methods, else one transaction.

    Use it with `scope="function"` (`app.dependencies.database.SessionDep` does): FastAPI then
    leaves this block, and so commits, before it sends the response. With the default scope it
    would answer 201 first and fail to commit afterwards.
    """
    database: Database = request.app.state.database
    open_session = database.read if request.method in SAFE_METHODS else database.transaction
    async with open_session() as session:
        yield session
