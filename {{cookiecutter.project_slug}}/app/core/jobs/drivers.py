"""PGQueuer's driver interface on SQLAlchemy: on a session, and for a worker."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, Final, Self

from pgqueuer.core.tm import TaskManager
from pgqueuer.db import AsyncpgDriver, PsycopgDriver
from pgqueuer.ports.driver import Driver, NotifyCallback, TaskManagerPort
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Database
from app.core.database.drivers import driver_for
from app.core.database.engines import make_engine

_LISTENERS: Final[dict[str, Any]] = {"asyncpg": AsyncpgDriver, "psycopg": PsycopgDriver}

_PARAMETER: Final = re.compile(r"\$(\d+)")


class SessionDriver(Driver):
    """Runs statements in the transaction of a session.

    It cannot listen, because the session's connection goes back to the pool.
    """

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self._shutdown = asyncio.Event()
        self._tasks = TaskManager()

    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        """Return the rows of a query with the parameters $1, $2 and so on."""
        result = await self._session.execute(_statement(query), _named(args))
        return [dict(row) for row in result.mappings()]

    async def execute(self, query: str, *args: object) -> str:
        """Run a query with the parameters $1, $2 and so on. Always returns an empty string."""
        await self._session.execute(_statement(query), _named(args))
        return ""

    async def notify(self, channel: str, payload: str) -> None:
        """Send a notification when the transaction commits."""
        await self.execute("SELECT pg_notify($1, $2)", channel, payload)

    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:
        """Raise `NotImplementedError`."""
        raise NotImplementedError

    @property
    def shutdown(self) -> asyncio.Event:
        return self._shutdown

    @property
    def tm(self) -> TaskManager:
        return self._tasks

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave the session open, which belongs to the request."""


class WorkerDriver(Driver):
    """Runs each statement on its own (`Database.statement`), and listens on one more connection.

    On one connection for both, psycopg would run no statement while it listens.
    """

    def __init__(self, database: Database, connection: Any) -> None:
        url = database.settings.database_url
        self._database = database
        self._connection = connection
        self._listens = asyncio.Event()
        self._abort = driver_for(url).abort
        self._listener: Driver = _LISTENERS[url.get_driver_name()](connection)

    @classmethod
    @asynccontextmanager
    async def connect(cls, database: Database) -> AsyncGenerator[Self]:
        """Connect to PostgreSQL to listen."""
        settings = database.settings
        engine = make_engine(settings.database_url, settings)
        async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            raw = await connection.get_raw_connection()
            yield cls(database, raw.driver_connection)

    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        """Return the rows of a query with the parameters $1, $2 and so on."""
        async with self._database.statement() as session:
            return await SessionDriver(session).fetch(query, *args)

    async def execute(self, query: str, *args: object) -> str:
        """Run a query with the parameters $1, $2 and so on. Always returns an empty string."""
        async with self._database.statement() as session:
            return await SessionDriver(session).execute(query, *args)

    async def notify(self, channel: str, payload: str) -> None:
        """Send a notification, once this driver listens: PGQueuer tests that it receives it."""
        await self._listens.wait()
        await self.execute("SELECT pg_notify($1, $2)", channel, payload)

    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:
        """Call a function with the payload of each notification."""
        # A server that hangs would hang this.
        loop = asyncio.get_running_loop()
        timeout = self._database.settings.database_deadline
        timer = loop.call_later(timeout, self._abort, self._connection)
        try:
            await self._listener.add_listener(channel, callback)
        finally:
            timer.cancel()
        self._listens.set()

    @property
    def shutdown(self) -> asyncio.Event:
        return self._listener.shutdown

    @property
    def tm(self) -> TaskManagerPort:
        return self._listener.tm

    async def __aenter__(self) -> Self:
        await self._listener.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._listener.__aexit__(*error)


@cache
def _statement(query: str) -> TextClause:
    return text(_PARAMETER.sub(r"(:p\1)", query))  # in brackets, for `::` may follow


def _named(args: tuple[object, ...]) -> dict[str, object]:
    return {f"p{number}": value for number, value in enumerate(args, start=1)}
