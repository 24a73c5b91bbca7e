"""A connection pool of a fixed size that serves those who wait first come, first served."""

import asyncio
import logging
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


class Turns:
    """A semaphore that can be taken without waiting, and is given back first come, first served."""

    def __init__(self, number: int) -> None:
        self._free = number
        self._waiting: deque[asyncio.Future[None]] = deque()

    def take(self) -> bool:
        """Take a turn if one is free; return whether it was."""
        if not self._free:
            return False
        self._free -= 1
        return True

    async def wait(self) -> None:
        """Wait for a turn and take it."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._waiting.remove(turn)
            else:  # it was given in the same moment
                self.give_back()
            raise

    def give_back(self) -> None:
        """Give a turn to who has waited longest, or keep it for the next who comes."""
        for turn in self._waiting:
            if not turn.done():
                turn.set_result(None)
                self._waiting.remove(turn)
                return
        self._free += 1


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
        self._turns = Turns(pool_size)
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
            if budget.expired:
                raise UnavailableError(TOO_LONG)
        if not self._turns.take():
            await_(self._wait(budget.seconds if budget else math.inf))
        try:
            connection = self._take()
        except BaseException:
            self._turns.give_back()
            raise
        # The record says whose turn it is: after `dispose()` the engine has another pool.
        held: Any = connection.record_info
        held["pool"] = self
        if budget:
            held["budget"] = budget
            dbapi_connection: Any = connection.dbapi_connection
            try:
                budget.take(id(held), (dbapi_connection.driver_connection, self.driver))
            except UnavailableError:
                connection.close()
                raise
        return connection

    def dispose(self) -> None:
        """Close the idle connections now, and those in use when they are given back."""
        self._is_disposed = True
        super().dispose()

    async def _wait(self, seconds_left: float) -> None:
        try:
            async with asyncio.timeout(min(self._seconds, seconds_left)):
                await self._turns.wait()
        except TimeoutError:
            reason = TOO_LONG if seconds_left < self._seconds else TOO_MANY
            raise UnavailableError(reason) from None

    def _take(self) -> PoolProxiedConnection:
        """Return a connection that works: a new one, or one that `is_alive`.

        When one is found dead, those that are older than that moment are replaced unasked.
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
        """Say whether a connection works that was idle for so many seconds."""
        return True

    def give_back(self, record: ConnectionPoolEntry) -> None:
        """Let the next one have the turn of a connection that is no longer used."""
        if self._is_disposed:
            record.close()  # nobody else would
        self._turns.give_back()


def _give_back(connection: Any, record: ConnectionPoolEntry) -> None:
    held: dict[str, Any] = record.record_info or {}
    if budget := held.pop("budget", None):
        budget.give_back(id(held))
    if connection is not None:  # else it was invalidated
        record.info["used_at"] = time.monotonic()
    if pool := held.pop("pool", None):
        pool.give_back(record)
