"""PGQueuer's driver interface on SQLAlchemy: on a session, and for a worker."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, Final, Self

import pgqueuer
from pgqueuer.ports import Driver
from pgqueuer.ports.driver import NotifyCallback, TaskManagerPort
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import ConfigurationError
from app.core.database import Database
from app.core.database.drivers import driver_for
from app.core.database.engines import make_engine

POOLER_RESPONDS: Final = (
    "WORKER_DATABASE_URL: must be PostgreSQL itself, but a pooler responds there, which would not pass "
    "on the notifications of new jobs"
)

_PARAMETER: Final = re.compile(r"\$(\d+)")


class SessionDriver(Driver):
    """Runs statements in the transaction of a session.

    It neither listens nor runs tasks, because the session's connection goes back to the pool.
    """

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

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
        raise NotImplementedError

    @property
    def tm(self) -> TaskManagerPort:
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave the session open, which belongs to the request."""


class WorkerDriver(Driver):
    """Runs each statement on its own (`Database.statement`), and listens on one more connection.

    One connection cannot do both in all drivers: some run no statement while they listen.
    """

    def __init__(self, database: Database, connection: Any) -> None:
        self._database = database
        self._connection = connection
        self._listens = asyncio.Event()
        self._abort = driver_for(database.settings.database_url).abort
        # PGQueuer names its drivers after those of PostgreSQL.
        name = database.settings.database_url.get_driver_name()
        self._listener: Driver = getattr(pgqueuer, f"{name.title()}Driver")(connection)

    @classmethod
    @asynccontextmanager
    async def connect(cls, database: Database) -> AsyncGenerator[Self]:
        """Connect to PostgreSQL to listen. Raises `ConfigurationError` if a pooler responds."""
        settings = database.settings
        engine = make_engine(settings.database_url, settings)
        async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            raw = await connection.get_raw_connection()
            sent_pid = driver_for(settings.database_url).backend_pid(raw.driver_connection)
            if sent_pid != await connection.scalar(text("SELECT pg_backend_pid()")):
                raise ConfigurationError(POOLER_RESPONDS)
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
