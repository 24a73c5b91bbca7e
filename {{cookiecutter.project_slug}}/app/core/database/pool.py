"""A connection pool that serves those who wait in the order in which they came."""

import asyncio
import logging
from contextlib import suppress
from typing import Any, Final, cast

from sqlalchemy import AsyncAdaptedQueuePool
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection
from sqlalchemy.util import await_, greenlet_spawn

from app.exceptions import UnavailableError

# How long connections beyond the pool's size outlast the load that they were opened for.
_LINGER_SECONDS: Final = 1
_GOODBYE_SECONDS: Final = 2

# SQLAlchemy names a pool's log after its class. What it tells at INFO is no message of the app.
logging.getLogger(f"{__name__}.FairPool").setLevel(logging.WARNING)


class FairPool(AsyncAdaptedQueuePool):
    """SQLAlchemy's pool behind a queue, and without its haste to close what it has opened.

    By itself the pool wakes waiters in any order, and under load lets some of them wait for
    seconds. The wait begins where the first statement needs a connection, not where the session
    is opened, so work before that (hashing, for instance) keeps nobody else waiting.

    It would also close a connection beyond `pool_size` at once when it is returned, to open
    another for the next request: half as many requests again, under load (measured). Here such a
    connection stays until a second has gone by in which so many were not needed.
    """

    def __init__(
        self, creator: Any, pool_size: int = 5, max_overflow: int = 10, **options: Any
    ) -> None:
        options["use_lifo"] = True  # what is not needed is left alone
        super().__init__(creator, pool_size + max_overflow, max_overflow=0, **options)
        self.kept = pool_size
        self._turns = asyncio.Semaphore(pool_size + max_overflow)
        self._peak = 0
        self._timer: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None
        self._disposed = False

    def connect(self, *, autocommit: bool = False) -> PoolProxiedConnection:
        """Take a connection; with `autocommit`, each statement is a transaction of its own.

        SQLAlchemy's own `isolation_level="AUTOCOMMIT"` sets and resets the mode around each use,
        through an event that also turns on its hooks for each statement: 8 to 10 % of a small read
        (measured). Here a connection keeps the mode of its last use until one needs the other.
        """
        connection = super().connect()
        dbapi_connection: Any = connection.dbapi_connection
        try:
            if dbapi_connection.autocommit != autocommit:
                dbapi_connection.autocommit = autocommit
        except BaseException:
            connection.invalidate()
            raise
        return connection

    def _do_get(self) -> ConnectionPoolEntry:
        await_(self._wait())
        try:
            entry = super()._do_get()
        except BaseException:
            self._turns.release()
            raise
        self._peak = max(self._peak, self.checkedout())
        return entry

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        if self._disposed:
            record.close()  # nobody else would
            self._turns.release()
            return
        super()._do_return_conn(record)
        self._turns.release()
        self._look_again()

    async def _wait(self) -> None:
        """Wait for a turn, for as long as the pool may wait. Raises `UnavailableError`."""
        if not self._turns.locked():
            await self._turns.acquire()  # at once
            return
        try:
            async with asyncio.timeout(self._timeout):
                await self._turns.acquire()
        except TimeoutError:
            raise UnavailableError("Too many requests at once; nothing was done") from None

    def _look_again(self) -> None:
        """Look in a while for what is no longer needed, if there is more than is kept."""
        if self._timer is None and self.checkedin() > self.kept:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_LINGER_SECONDS, self._start_closing)

    def _start_closing(self) -> None:
        self._closing = asyncio.create_task(self._close_idle())

    async def _close_idle(self) -> None:
        """Close the connections that were not needed since the last look, the coldest first."""
        surplus = self.checkedin() + self.checkedout() - max(self.kept, self._peak)
        self._peak = self.checkedout()
        closing = 0
        while closing < surplus and not self._turns.locked():
            await self._turns.acquire()  # at once, so that nobody else counts on the connection
            closing += 1
        idle = [self._pool.get(block=False) for _ in range(self.checkedin())]  # newest first
        kept = len(idle) - closing
        for record in reversed(idle[:kept]):
            self._pool.put(record, block=False)
        for record in idle[kept:]:
            await self._close(record)
            self._turns.release()
        self._timer = None
        self._look_again()

    async def _close(self, record: ConnectionPoolEntry) -> None:
        """Close a connection, whether the server says goodbye or not."""
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_GOODBYE_SECONDS):
                    await greenlet_spawn(record.close)
        finally:
            self._dec_overflow()

    def dispose(self) -> None:
        self._disposed = True
        if self._timer:
            self._timer.cancel()
        super().dispose()

    def recreate(self) -> "FairPool":
        pool = cast("FairPool", super().recreate())
        pool.kept = self.kept
        return pool


def autocommitting(engine: AsyncEngine) -> AsyncEngine:
    """Return an engine on the same `FairPool` whose statements are each a transaction.

    An engine made of it by `execution_options()` has transactions again.
    """
    engine = engine.execution_options()
    sync_engine = engine.sync_engine

    # From here a `Connection` takes what it uses, at first and after an invalidation.
    def raw_connection() -> PoolProxiedConnection:
        return cast("FairPool", sync_engine.pool).connect(autocommit=True)

    sync_engine.raw_connection = raw_connection  # type: ignore[method-assign]
    return engine
