"""A connection pool of a fixed size that serves those who wait first come, first served."""

import asyncio
import logging
import math
import time
from typing import Any, ClassVar, Final, cast

from sqlalchemy import AsyncAdaptedQueuePool, Dialect, event
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection
from sqlalchemy.util import await_

from app.core.database.budget import TOO_LONG, current_budget
from app.core.database.drivers import Driver
from app.exceptions import UnavailableError

TOO_MANY: Final = "Too many requests at once; nothing was done"


class FairPool(AsyncAdaptedQueuePool):
    """SQLAlchemy's queue pool with a queue of its own in front.

    Without it waiters are woken in any order, and some of them starve under load (0006 in
    docs/decisions has the figures). There is no overflow: under load its connections would be
    opened and closed all the time.

    The wait begins with the first statement of a session, not when the session is opened. It is
    bounded by `timeout` and by the budget of the request, whichever is shorter.
    """

    driver: ClassVar[Driver]

    def __init_subclass__(cls) -> None:
        # SQLAlchemy names a pool's logger after its class; its messages are not the app's.
        logging.getLogger(f"{cls.__module__}.{cls.__name__}").setLevel(logging.WARNING)

    def __init__(
        self, creator: Any, pool_size: int = 5, timeout: float = 30, **options: Any
    ) -> None:
        options |= {"max_overflow": 0, "use_lifo": True}  # the newest are the ones known to work
        super().__init__(creator, pool_size, timeout=timeout, **options)
        self.dialect: Dialect = options["dialect"]
        self._turns = asyncio.Semaphore(pool_size)
        self._seconds = timeout
        self._lost_at = 0.0
        self._is_disposed = False
        for end in ("checkin", "detach"):  # the latter if the session was not closed, but collected
            event.listen(self, end, _give_back)

    def connect(self) -> PoolProxiedConnection:
        """Wait for a turn, and take a connection that works. Raises `UnavailableError`."""
        budget = current_budget()
        if budget:
            budget.require_no_connection("while another one is asked for")
            budget.require_seconds()
        await_(self._wait(budget.seconds if budget else math.inf))
        try:
            connection = self._take()
        except BaseException:
            self._turns.release()
            raise
        # The record says whose turn it is: after `dispose()` the engine has another pool.
        held = cast("dict[str, Any]", connection.record_info)
        held["pool"] = self
        if budget:
            held["budget"] = budget
            driver_connection = cast("Any", connection.dbapi_connection).driver_connection
            try:
                budget.take(id(held), (driver_connection, self.driver))
            except UnavailableError:
                connection.close()
                raise
        return connection

    def dispose(self) -> None:
        """Close the idle connections now, and those in use when they are given back."""
        self._is_disposed = True
        super().dispose()

    async def _wait(self, seconds_left: float) -> None:
        if not self._turns.locked():
            await self._turns.acquire()  # at once
            return
        try:
            async with asyncio.timeout(min(self._seconds, seconds_left)):
                await self._turns.acquire()
        except TimeoutError:
            reason = TOO_LONG if seconds_left < self._seconds else TOO_MANY
            raise UnavailableError(reason) from None

    def _take(self) -> PoolProxiedConnection:
        """Return a connection that works: a new one, or one that `is_alive`.

        When one is found dead, those that are older than that moment are replaced unasked.
        """
        while True:
            connection = super().connect()
            works = False
            try:
                works = self._works(connection)
            finally:  # whoever is cancelled meanwhile leaves no half-read reply behind
                if not works:
                    connection.invalidate()
            if works:
                return connection

    def _works(self, connection: PoolProxiedConnection) -> bool:
        now = time.monotonic()
        opened_at = connection.info.setdefault("opened_at", now)
        if opened_at == now:
            return True
        if opened_at > self._lost_at and self.is_alive(
            connection, now - connection.info["used_at"]
        ):
            return True
        self._lost_at = now
        return False

    def is_alive(self, connection: PoolProxiedConnection, idle_seconds: float) -> bool:  # noqa: ARG002
        """Say whether a connection works that was idle for so many seconds."""
        return True

    def give_back(self, record: ConnectionPoolEntry) -> None:
        """Let the next one have the turn of a connection that is no longer used."""
        if self._is_disposed:
            record.close()  # nobody else would
        self._turns.release()


def _give_back(connection: Any, record: ConnectionPoolEntry) -> None:
    held: dict[str, Any] = record.record_info or {}
    if budget := held.pop("budget", None):
        budget.give_back(id(held))
    if connection is not None:  # else it was invalidated
        record.info["used_at"] = time.monotonic()
    if pool := held.pop("pool", None):
        pool.give_back(record)
