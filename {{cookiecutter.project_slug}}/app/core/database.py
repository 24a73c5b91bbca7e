"""The engine, the two kinds of session, and the dependency that opens one for a request.

Nothing here connects before the first statement, and nothing is a global: the lifespan of the
application owns the one `Database` and disposes of it.
"""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from fastapi import Request
from sqlalchemy import ExceptionContext, event, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import ORMExecuteState, Session

from app.core.config import DatabaseSettings
from app.core.constraints import domain_error
from app.core.drivers import Driver, driver_for
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
        _translate_constraint_violations(self, driver)
        self.write_sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        # An engine of its own for AUTOCOMMIT costs 10 % less per request than the same option set
        # on each session (measured). Both engines share one pool.
        self.read_sessions = async_sessionmaker(
            self.engine.execution_options(isolation_level="AUTOCOMMIT"),
            sync_session_class=ReadSession,
            expire_on_commit=False,
        )

    def transaction(self) -> AbstractAsyncContextManager[AsyncSession]:
        """Open a session in a transaction that commits at the end, or rolls back on an error."""
        return self.write_sessions.begin()

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncSession]:
        """Open a session that reads; raise `ReadOnlySessionError` if it was used to write."""
        async with self.read_sessions() as session:
            yield session
            # Changes that nobody flushed would be lost without a word.
            session.sync_session.flush()

    async def check(self) -> None:
        """Raise `UnavailableError` unless the database answers a query."""
        try:
            async with self.engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
        except (SQLAlchemyError, OSError) as error:
            raise UnavailableError("The database does not answer") from error

    async def dispose(self) -> None:
        """Close every connection of the pool."""
        await self.engine.dispose()


def _translate_constraint_violations(database: Database, driver: Driver) -> None:
    """Raise domain errors where the driver raises integrity errors: at flush, execute or commit."""

    @event.listens_for(database.engine.sync_engine, "handle_error")
    def raise_domain_error(context: ExceptionContext) -> None:
        violation = driver.constraint_violation(context.original_exception)
        error = domain_error(violation) if violation else None
        if error:
            raise error from context.original_exception


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
