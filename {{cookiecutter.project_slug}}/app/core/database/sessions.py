"""The engine, the two kinds of session, and the dependency that opens one for a request.

Nothing here connects before the first statement, and nothing is a global: the lifespan of the
application owns the one `Database` and disposes of it.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Final

from fastapi import Request
from sqlalchemy import URL, Executable, Result, ScalarResult
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session

from app.core.config import DatabaseSettings
from app.core.database.deadline import deadline
from app.core.database.engines import make_engine
from app.core.database.errors import require_success
from app.core.database.pool import FairPool, autocommitting
from app.core.database.replica import Replica

# Long for a service under load, in which connections are in use all the time, and short for a
# server to vanish in without closing its connections. Not for a replica: the ping finds out
# whether it hangs, and a read that has begun cannot move to the primary.
_TRUSTED_SECONDS: Final = 0.1

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110, section 9.2.1


class ReadOnlySessionError(RuntimeError):
    """A programming error: code that serves a safe method tried to write."""


class ReadSession(Session):
    """A session that can only read.

    Its connection is on AUTOCOMMIT: without BEGIN and COMMIT a read saves two round trips, but
    each statement sees its own snapshot, and a write would be permanent at once. Behind a pooler
    it is in a transaction, without which a statement's messages may go to several servers.
    """

    def flush(self, objects: Any = None) -> None:  # noqa: ARG002 (the signature of Session)
        """Raise `ReadOnlySessionError` if there is anything to write."""
        if any(self) and (self.new or self.dirty or self.deleted):  # mostly it holds no object
            raise ReadOnlySessionError(
                "A read session cannot write. Safe HTTP methods get read sessions: "
                "change data in a POST, PUT, PATCH or DELETE route, or in database.transaction()."
            )

    # INSERT, UPDATE and DELETE statements do not pass through a flush. The event for all three
    # methods would cost each read more than this does.

    def execute(self, statement: Executable, *arguments: Any, **options: Any) -> Result[Any]:
        _refuse_writes(statement)
        return super().execute(statement, *arguments, **options)

    def scalar(self, statement: Executable, *arguments: Any, **options: Any) -> Any:
        _refuse_writes(statement)
        return super().scalar(statement, *arguments, **options)

    def scalars(self, statement: Executable, *arguments: Any, **options: Any) -> ScalarResult[Any]:
        _refuse_writes(statement)
        return super().scalars(statement, *arguments, **options)


class UnshieldedSession(AsyncSession):
    """A session that is closed in its own task where a block ends well.

    `AsyncSession` makes a task for it, to shield a ROLLBACK from a cancellation. There is none on
    AUTOCOMMIT, nor after a COMMIT.
    """

    async def __aexit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if kind is None:
            await self.close()
        else:
            await super().__aexit__(kind, error, traceback)


class WriteSession(UnshieldedSession):
    """A session that commits nothing but what has succeeded."""

    async def commit(self) -> None:
        """Commit. Raises `FailedTransactionError`."""
        await require_success(self)
        await super().commit()


def _refuse_writes(statement: Executable) -> None:
    if getattr(statement, "is_dml", False):  # SQLAlchemy refuses what is no statement
        raise ReadOnlySessionError("A read session cannot run INSERT, UPDATE or DELETE.")


class Database:
    """The connection pools and the sessions that use them.

    Raises `ConfigurationError` through its settings; makes no connection when it is created.
    """

    def __init__(self, settings: DatabaseSettings) -> None:
        self.settings = settings
        self.engine = self._make_pool(settings.database_url, _TRUSTED_SECONDS)
        self.replica: Replica | None = None
        if settings.database_replica_url:
            engine = self._make_pool(settings.database_replica_url)
            self.replica = Replica(
                engine, self._make_read_sessions(engine), settings.database_connect_timeout
            )
        self.write_sessions: async_sessionmaker[AsyncSession] = async_sessionmaker(
            self.engine, class_=WriteSession, expire_on_commit=False
        )
        self.read_sessions = self._make_read_sessions(self.engine)
        # {% if cookiecutter.use_auth %}
        self.statement_sessions: async_sessionmaker[AsyncSession] = async_sessionmaker(
            self.engine if settings.database_pooler else autocommitting(self.engine),
            class_=WriteSession,
            expire_on_commit=False,
        )
        # {% endif %}

    def _make_pool(self, url: URL, trusted_seconds: float = 0) -> AsyncEngine:
        return make_engine(
            url,
            self.settings,
            trusted_seconds=trusted_seconds,
            poolclass=FairPool,
            pool_size=self.settings.database_pool_size,
            max_overflow=self.settings.database_max_overflow,
            pool_timeout=self.settings.database_pool_timeout,
            pool_pre_ping=self.settings.database_pool_pre_ping,
        )

    def _make_read_sessions(self, engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
        session_class: type[AsyncSession] = AsyncSession
        if not self.settings.database_pooler:
            engine = autocommitting(engine)
            session_class = UnshieldedSession
        return async_sessionmaker(
            engine, class_=session_class, sync_session_class=ReadSession, expire_on_commit=False
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[AsyncSession]:
        """Open a session in a transaction that commits at the end, or rolls back on an error.

        Raises `FailedTransactionError` where the error of a statement was caught and forgotten.
        Raises `UnavailableError` if there is no connection to be had, or no answer in time.
        """
        async with deadline(self.settings.database_deadline), self.write_sessions() as session:
            yield session
            await session.commit()

    # {% if cookiecutter.use_auth %}
    @asynccontextmanager
    async def statement(self) -> AsyncGenerator[AsyncSession]:
        """Open a session for one statement, which is a transaction of its own.

        For rows that many write at once, such as counters: a statement keeps such a row locked for
        as long as it runs, a transaction until the event loop comes round to its COMMIT. Behind a
        pooler it is a transaction nevertheless. Raises `UnavailableError` as `transaction()` does.
        """
        async with deadline(self.settings.database_deadline), self.statement_sessions() as session:
            yield session
            await session.commit()

    # {% endif %}
    @asynccontextmanager
    async def read(self, *, newest: bool = True) -> AsyncGenerator[AsyncSession]:
        """Open a session that reads; raise `ReadOnlySessionError` if it was used to write.

        Where the newest state is not needed, a replica serves it, if there is one and it is up.
        Raises `UnavailableError` as `transaction()` does.
        """
        async with deadline(self.settings.database_deadline):
            session = await self.replica.open() if self.replica and not newest else None
            async with session or self.read_sessions() as session:
                yield session
                # Changes that nobody flushed would be lost without a word.
                session.sync_session.flush()

    async def dispose(self) -> None:
        """Close every connection of the pools. A server that hangs does not hold up the exit."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.settings.database_connect_timeout):
                await self.engine.dispose()
                if self.replica:
                    await self.replica.engine.dispose()


async def get_async_session(request: Request) -> AsyncSession:
    """Open the session of a request: read-only for safe methods, else one transaction.

    With a read replica, a safe request may see the state of a moment ago; the client asks for the
    newest by `Cache-Control: no-cache`.

    FastAPI closes it, and so commits, when the handler is done and before it sends the response:
    the stack is the one that it keeps for `scope="function"`. A generator with that scope would
    end there too, but by way of three more context managers: 6 % of a small request (measured).
    """
    database: Database = request.app.state.database
    if request.method in SAFE_METHODS:
        open_session = database.read(newest=database.replica is None or _wants_newest(request))
    else:
        open_session = database.transaction()
    until_response: AsyncExitStack = request.scope["fastapi_function_astack"]
    return await until_response.enter_async_context(open_session)


def _wants_newest(request: Request) -> bool:
    directives = ",".join(request.headers.getlist("Cache-Control")).split(",")
    return "no-cache" in (directive.strip().lower() for directive in directives)
