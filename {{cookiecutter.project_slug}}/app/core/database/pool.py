"""A connection pool of a fixed size that serves waiters in order."""

import asyncio
import logging
import math
import time
from collections import deque
from typing import Any, ClassVar, Final, NoReturn

from sqlalchemy import AsyncAdaptedQueuePool, Dialect, event
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection
from sqlalchemy.util import await_

from app.core.database.budget import NO_CONTEXT, TOO_LONG, Budget, current_budget
from app.core.database.drivers import Driver
from app.core.database.errors import UNREACHABLE
from app.core.database.usage import CURRENT_USAGE, DatabaseUsage
from app.exceptions import UnavailableError

TOO_MANY: Final = "Too many requests at once; nothing was done"


class FairSemaphore:
    """A semaphore that serves waiters first come, first served."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._free = number
        self._waiters: deque[asyncio.Future[bool]] = deque()

    @property
    def acquired(self) -> int:
        """How often the semaphore is held at the moment."""
        return self._number - self._free

    @property
    def waiting(self) -> int:
        """How many wait for the semaphore at the moment."""
        return len(self._waiters)

    def acquire_nowait(self) -> bool:
        """Acquire the semaphore if it is free, and return whether it was."""
        if not self._free:
            return False
        self._free -= 1
        return True

    async def acquire(self, seconds: float) -> bool:
        """Acquire the semaphore, and return whether it was free within `seconds`."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        self._waiters.append(waiter)
        # `asyncio.timeout` costs more (see docs/decisions/0006).
        timer = loop.call_later(seconds, self._give_up, waiter, context=NO_CONTEXT)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                self._waiters.remove(waiter)
            elif waiter.result():  # acquired and cancelled at the same time
                self.release()
            raise
        finally:
            timer.cancel()

    def release(self) -> None:
        """Wake the first waiter, or free the semaphore if there is none."""
        for waiter in self._waiters:
            if not waiter.done():
                self._waiters.remove(waiter)
                waiter.set_result(True)
                return
        self._free += 1

    def _give_up(self, waiter: asyncio.Future[bool]) -> None:
        if not waiter.done():
            self._waiters.remove(waiter)
            waiter.set_result(False)


class NoTurnError(UnavailableError):
    """No connection was free in time. The server was not asked."""


class FairPool(AsyncAdaptedQueuePool):
    """SQLAlchemy's queue pool, with waiters served first come, first served.

    The stock pool wakes waiters in any order, so that some of them starve under load (see
    docs/decisions/0006). There is no overflow: under load, its connections would be opened and
    closed all the time.

    A session waits at its first statement, not when it is opened: for at most `timeout` seconds,
    and no longer than the request's budget lasts. `waits` and `waited` say how often there was no
    free connection, and for how many seconds in all.
    """

    driver: ClassVar[Driver]

    def __init_subclass__(cls) -> None:
        # SQLAlchemy names a pool's logger after its class; its messages are not the app's.
        logging.getLogger(f"{cls.__module__}.{cls.__name__}").setLevel(logging.WARNING)

    def __init__(
        self, creator: Any, pool_size: int = 5, timeout: float = 30, **options: Any
    ) -> None:
        options |= {"max_overflow": 0, "use_lifo": True}  # recently used ones need no ping
        super().__init__(creator, pool_size, timeout=timeout, **options)
        self.dialect: Dialect = options["dialect"]
        self._semaphore = FairSemaphore(pool_size)
        self._timeout_seconds = timeout
        self.waits = 0
        self.waited = 0.0
        self._lost_at = 0.0
        self._gave_up_at = 0.0
        self._is_disposed = False
        for end in ("checkin", "detach"):  # detach: the session was collected, not closed
            event.listen(self, end, _on_release)

    def connect(self) -> PoolProxiedConnection:
        """Return a working connection, waiting for one if need be. Raises `UnavailableError`."""
        budget = current_budget()
        if budget is None:
            self._take_turn(math.inf)
            return self._connect_in_turn(None)
        budget.require_no_connection("while another one is requested")
        budget.require_time()
        budget.start_connecting()
        has_turn = False
        try:
            self._take_turn(budget.seconds)
            has_turn = True
            connection = self._connect_in_turn(budget)
        except BaseException as error:
            if budget.end_connecting():
                late = UnavailableError if has_turn else NoTurnError
                raise late(TOO_LONG, kind="deadline") from error
            raise
        budget.end_connecting()
        return connection

    def _take_turn(self, seconds_left: float) -> None:
        if not self._semaphore.acquire_nowait():
            await_(self._wait_for_turn(seconds_left))

    def _connect_in_turn(self, budget: Budget | None) -> PoolProxiedConnection:
        try:
            connection = self._connect_alive(budget)
        except BaseException:
            self._semaphore.release()
            raise
        # For the release, which may come after `dispose()` has given the engine another pool.
        info: Any = connection.record_info
        info |= {"pool": self, "budget": budget}
        return connection

    def dispose(self) -> None:
        """Close the idle connections now, and those in use when they are released."""
        self._is_disposed = True
        super().dispose()

    @property
    def in_use(self) -> int:
        """The number of connections that are in use or being opened."""
        return self._semaphore.acquired

    @property
    def waiting(self) -> int:
        """The number of callers that wait for a connection."""
        return self._semaphore.waiting

    async def _wait_for_turn(self, seconds_left: float) -> None:
        began = time.perf_counter()
        try:
            has_turn = await self._semaphore.acquire(min(self._timeout_seconds, seconds_left))
        finally:
            waited = time.perf_counter() - began
            self.waits += 1
            self.waited += waited
            usage: DatabaseUsage | None = CURRENT_USAGE.get()
            if usage:
                usage.waited += waited
        if not has_turn:
            if seconds_left < self._timeout_seconds:
                raise NoTurnError(TOO_LONG, kind="deadline")
            raise NoTurnError(TOO_MANY, kind="pool")
        if self._gave_up_at > began:
            self._semaphore.release()
            raise UnavailableError(UNREACHABLE, kind="unreachable")

    def _connect_alive(self, budget: Budget | None) -> PoolProxiedConnection:
        """Return a new connection, or an idle one that works, held by the budget."""
        while True:
            connection = self._connect_any()
            dbapi_connection: Any = connection.dbapi_connection
            driver_connection = dbapi_connection.driver_connection
            if budget:
                holder = id(connection.record_info)
                budget.hold(holder, (driver_connection, self.driver))
            try:
                works = self._works(connection)
                if works and not (budget and budget.expired):
                    return connection
                if works:
                    connection.close()
                else:
                    # A hanging server would not respond to a clean close.
                    self.driver.abort(driver_connection)
                    connection.invalidate()
            except BaseException as error:  # cancelled, maybe in the middle of a response
                if budget:
                    budget.release(holder)
                connection.invalidate(error)
                raise
            if budget:
                budget.release(holder)
                budget.require_time()

    def _connect_any(self) -> PoolProxiedConnection:
        """Return an idle connection, or a new one."""
        try:
            return super().connect()
        except Exception as error:
            if not self.driver.is_connection_error(error):
                raise
            # One of SQLAlchemy's queries on the new connection failed.
            raise UnavailableError(UNREACHABLE, kind="unreachable") from error

    def _works(self, connection: PoolProxiedConnection) -> bool:
        """Return whether a connection is new, or an idle one that `is_alive`.

        Once one is found dead, all connections opened before are replaced without a test.
        """
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
        """Return whether a connection still works after `idle_seconds`."""
        return True

    def give_up(self, error: Exception) -> NoReturn:
        """Raise `UnavailableError` for this caller, and for all that wait for a connection now.

        All connections opened before are replaced without a test.
        """
        self._lost_at = time.monotonic()
        self._gave_up_at = time.perf_counter()
        raise UnavailableError(UNREACHABLE, kind="unreachable") from error

    def release(self, record: ConnectionPoolEntry) -> None:
        """Give the slot of a connection to the next waiter."""
        if self._is_disposed:
            record.close()  # nobody else would
        self._semaphore.release()


def _on_release(connection: Any, record: ConnectionPoolEntry) -> None:
    info: Any = record.record_info
    if connection is not None:  # else it was invalidated
        record.info["used_at"] = time.monotonic()
    if budget := info.pop("budget", None):
        budget.release(id(info))
    if pool := info.pop("pool", None):
        pool.release(record)
