"""PGQueuer's driver interface on SQLAlchemy: on a session, and for a worker."""

import asyncio
import math
import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
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
from app.exceptions import UnavailableError, explain

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
        """Leave the session open, because it belongs to the caller."""


class WorkerDriver(Driver):
    """Runs each statement on its own (`Database.statement`), and listens on one more connection.

    With some drivers one connection cannot do both: they run no statement while they listen. After
    `ends_at` every statement raises `UnavailableError`.
    """

    def __init__(self, database: Database) -> None:
        self.ends_at = math.inf
        self._database = database
        settings = database.settings
        self._driver = driver_for(settings.database_url)
        self._engine = make_engine(settings.database_url, settings).execution_options(
            isolation_level="AUTOCOMMIT"
        )
        self._callbacks: list[tuple[str, NotifyCallback]] = []
        self._listens = asyncio.Event()
        self._connection: Any = None
        self._stack = AsyncExitStack()  # what ends with the connection that listens

    @classmethod
    @asynccontextmanager
    async def connect(cls, database: Database) -> AsyncGenerator[Self]:
        """Connect to PostgreSQL to listen.

        Raises `UnavailableError`, and `ConfigurationError` if a pooler responds.
        """
        driver = cls(database)
        try:
            await driver.open()
            yield driver
        finally:
            await driver.close()

    def end_at(self, time: float) -> None:
        """Let no statement run after this time, by the clock of the event loop."""
        self.ends_at = time

    async def listen_again(self) -> None:
        """Replace the connection that listens. Raises `UnavailableError`."""
        with suppress(Exception):  # it is broken, most likely
            await self.close()
        await self.open()
        for channel, callback in self._callbacks:
            await self._listen(channel, callback)

    async def close(self) -> None:
        """Close the connection that listens."""
        await self._stack.aclose()

    async def open(self) -> None:
        """Open a connection to listen. Raises as `connect` does."""
        self._stack = AsyncExitStack()
        try:
            connection = await self._stack.enter_async_context(self._engine.connect())
            raw = await connection.get_raw_connection()
            self._connection = raw.driver_connection
            # A server that hangs would keep it from closing.
            self._stack.callback(self._driver.abort, self._connection)
            sent_pid = self._driver.backend_pid(self._connection)
            with self._limited():
                pid = await connection.scalar(text("SELECT pg_backend_pid()"))
            if sent_pid != pid:
                raise ConfigurationError(POOLER_RESPONDS)
        except Exception as error:
            # PgBouncer's error for the time limits, with which a connection to PostgreSQL starts.
            if "unsupported startup parameter" in explain(error):
                raise ConfigurationError(POOLER_RESPONDS) from error
            raise
        # PGQueuer names its drivers after those of PostgreSQL.
        name = self._database.settings.database_url.get_driver_name()
        listener: Driver = getattr(pgqueuer, f"{name.title()}Driver")(self._connection)
        self._listener = await self._stack.enter_async_context(listener)

    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        """Return the rows of a query with the parameters $1, $2 and so on."""
        async with self._database.statement(self._seconds()) as session:
            return await SessionDriver(session).fetch(query, *args)

    async def execute(self, query: str, *args: object) -> str:
        """Run a query with the parameters $1, $2 and so on. Always returns an empty string."""
        async with self._database.statement(self._seconds()) as session:
            return await SessionDriver(session).execute(query, *args)

    def _seconds(self) -> float:
        left = self.ends_at - asyncio.get_running_loop().time()
        if left <= 0:
            raise UnavailableError("The worker has no time left", kind="deadline")
        return min(left, self._database.settings.database_deadline)

    async def notify(self, channel: str, payload: str) -> None:
        """Send a notification, once this driver listens: PGQueuer tests that it receives it."""
        await self._listens.wait()
        await self.execute("SELECT pg_notify($1, $2)", channel, payload)

    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:
        """Listen, and call `callback` with the payload of each notification."""
        await self._listen(channel, callback)
        self._callbacks.append((channel, callback))
        self._listens.set()

    async def _listen(self, channel: str, callback: NotifyCallback) -> None:
        with self._limited():
            await self._listener.add_listener(channel, callback)

    @contextmanager
    def _limited(self) -> Iterator[None]:
        """Close the connection that listens if the block takes too long: the server hangs."""
        loop = asyncio.get_running_loop()
        timeout = self._database.settings.database_deadline
        timer = loop.call_later(timeout, self._driver.abort, self._connection)
        try:
            yield
        finally:
            timer.cancel()

    @property
    def shutdown(self) -> asyncio.Event:
        return self._listener.shutdown

    @property
    def tm(self) -> TaskManagerPort:
        return self._listener.tm

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Keep on listening until the block of `connect` ends."""


@cache
def _statement(query: str) -> TextClause:
    return text(_PARAMETER.sub(r"(:p\1)", query))  # in brackets, because `::` may follow


def _named(args: tuple[object, ...]) -> dict[str, object]:
    return {f"p{number}": value for number, value in enumerate(args, start=1)}
