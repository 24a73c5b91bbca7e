"""A connection pool of a fixed size that serves waiters in order."""

import asyncio
import math
import time
from collections import deque
from typing import Any, ClassVar, Final

from sqlalchemy import AsyncAdaptedQueuePool, Dialect, event
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection
from sqlalchemy.util import await_

from app.core.database.budget import TOO_LONG, current_budget
from app.core.database.drivers import Driver
from app.exceptions import UnavailableError

TOO_MANY: Final = "Too many requests at once; nothing was done"


class FairSemaphore:
    """A semaphore that serves waiters first come, first served."""

    def __init__(self, number: int) -> None:
        self._free = number
        self._waiters: deque[asyncio.Future[None]] = deque()

    def acquire_nowait(self) -> bool:
        """Acquire the semaphore if it is free, and return whether it was."""
        if not self._free:
            return False
        self._free -= 1
        return True

    async def acquire(self) -> None:
        """Wait until the semaphore is free, and acquire it."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                self._waiters.remove(waiter)
            else:  # acquired and cancelled at the same time
                self.release()
            raise

    def release(self) -> None:
        """Wake the first waiter, or free the semaphore if there is none."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
                self._waiters.remove(waiter)
                return
        self._free += 1


class FairPool(AsyncAdaptedQueuePool):
    """SQLAlchemy's queue pool, with waiters served first come, first served.

    The stock pool wakes waiters in any order, so that some of them starve under load (see
    docs/decisions/0006). There is no overflow, whose connections would be opened and closed all
    the time under load.

    A session waits at its first statement, not when it is opened: for at most `timeout` seconds,
    and no longer than the request's budget lasts.
    """

    driver: ClassVar[Driver]
    dialect: ClassVar[Dialect]

    def __init__(
        self, creator: Any, pool_size: int = 5, timeout: float = 30, **options: Any
    ) -> None:
        options |= {"max_overflow": 0, "use_lifo": True}  # recently used ones need no ping
        super().__init__(creator, pool_size, timeout=timeout, **options)
        self._semaphore = FairSemaphore(pool_size)
        self._timeout_seconds = timeout
        self._lost_at = 0.0
        event.listen(self, "checkin", _on_checkin)

    def connect(self) -> PoolProxiedConnection:
        """Return a working connection, waiting for one if need be. Raises `UnavailableError`."""
        budget = current_budget()
        if budget:
            budget.require_no_connection("while another one is requested")
        if not self._semaphore.acquire_nowait():
            await_(self._wait_for_turn(budget.seconds if budget else math.inf))
        try:
            connection = self._connect_alive()
            if budget:
                held = connection.dbapi_connection.driver_connection  # type: ignore[union-attr]
                budget.hold(id(connection.record_info), (held, self.driver))
        except BaseException:
            self._semaphore.release()
            raise
        # Released by the check-in, which may come after `dispose()` has replaced the pool.
        connection.record_info["semaphore"] = self._semaphore  # type: ignore[index]
        return connection

    async def _wait_for_turn(self, seconds_left: float) -> None:
        try:
            async with asyncio.timeout(min(self._timeout_seconds, seconds_left)):
                await self._semaphore.acquire()
        except TimeoutError:
            reason = TOO_LONG if seconds_left < self._timeout_seconds else TOO_MANY
            raise UnavailableError(reason) from None

    def _connect_alive(self) -> PoolProxiedConnection:
        """Return a new connection, or an idle one that `is_alive`.

        Once one is found dead, all connections opened before are replaced without a test.
        """
        while True:
            connection = super().connect()
            now = time.monotonic()
            opened_at = connection.info.setdefault("opened_at", now)
            if opened_at == now:
                return connection
            if opened_at > self._lost_at and self.is_alive(
                connection, now - connection.info["used_at"]
            ):
                return connection
            self._lost_at = now
            connection.invalidate()

    def is_alive(self, connection: PoolProxiedConnection, idle_seconds: float) -> bool:  # noqa: ARG002
        """Return whether a connection still works after `idle_seconds`."""
        return True


def _on_checkin(connection: Any, record: ConnectionPoolEntry) -> None:
    info: dict[str, Any] = record.record_info or {}
    if budget := current_budget():
        budget.release(id(info))
    if connection is not None:  # else it was invalidated
        record.info["used_at"] = time.monotonic()
    if semaphore := info.pop("semaphore", None):
        semaphore.release()
