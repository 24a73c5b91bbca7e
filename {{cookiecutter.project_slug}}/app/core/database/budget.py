"""The budget of a request: one connection at a time, and a limited time in the database.

Only calls into the database count: waiting for the pool, connecting, statements, COMMIT. The time
that a handler spends elsewhere does not.

`statement_timeout` does not help against a server that hangs (a stalled disk, a stopped process, a
cut network), because the server itself has to enforce it. Nor does cancelling the task, because
the driver then waits for the server to confirm. So when the time is used up, the socket is closed,
which fails everything that waits on it at once. Only a task without a connection is cancelled.
"""

import asyncio
import logging
import math
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from typing import Any, Final

from greenlet import getcurrent

from app.core.database.drivers import Driver
from app.exceptions import UnavailableError

_logger: Final = logging.getLogger(__name__)

TOO_LONG: Final = "The database took too long to respond"

# A timer that fires later than this shows that the event loop was blocked, in seconds.
_LATE: Final = 0.1

# For timers: they hold a reference to their context, which would keep the request alive.
NO_CONTEXT: Final = Context()


class SecondConnectionError(RuntimeError):
    """A programming error: code holds a connection while it wants another or does not need it.

    If all requests and jobs that hold a connection wait for a second one, the pool is deadlocked.
    """


class Budget:
    """The time and the one connection that a request, job or block of code may use.

    With `strict`, holding a connection where none may be held raises an error, else it is logged.
    A `shared` budget, such as that of a request, also applies to the blocks within it. It stops
    being shared when the request ends, because tasks that the request has started may go on.
    Within a `guarded` one, such as that of a job, each block has its own, but all of them together
    may hold at most one connection at a time until the job ends.
    """

    def __init__(
        self, seconds: float, *, strict: bool = False, shared: bool = False, guarded: bool = False
    ) -> None:
        self.expired = False
        self.is_shared = shared
        self.is_guarded = guarded
        self._left = seconds
        self._strict = strict
        self._calls = 0  # calls into the database that have not returned
        self._counting_since = 0.0
        self._counted_until = 0.0
        self._was_blocked = False
        self._is_handed_out = False
        self._timer: asyncio.TimerHandle | None = None
        # Tasks that wait for a connection, and how often they had been cancelled before.
        self._connecting: dict[asyncio.Task[Any] | None, int] = {}
        self._cancelled: set[asyncio.Task[Any] | None] = set()  # by the budget
        self._held: dict[object, tuple[Any, Driver] | None] = {}
        # Who holds or waits for a connection, here or in another block within the same guard.
        self.together: set[object] = set()

    @property
    def seconds(self) -> float:
        """The remaining time, in seconds."""
        return max(self._left, 0)

    @property
    def idle_seconds(self) -> float:
        """The time between the last two calls, in seconds."""
        return self._counting_since - self._counted_until

    @property
    def holds_connection(self) -> bool:
        """Whether this block, or another within the same guard, holds or waits for a connection."""
        return bool(self.together)

    def join(self, together: set[object]) -> None:
        """Count the connections of this block `together` with those of all others within a guard."""
        self.is_guarded = True
        self.together = together

    def require_no_connection(self, purpose: str) -> None:
        """Raise or log `SecondConnectionError` if the request, job or WebSocket holds a connection.

        One that it waits for counts as well: if two requests each waited for two, each could get one.
        Blocks elsewhere, such as in commands, may nest: nobody else waits for their connections.
        """
        if not (self.is_shared or self.is_guarded) or not self.holds_connection:
            return
        error = SecondConnectionError(
            f"A connection is held {purpose}. Release it first: leave the block of "
            "database.read() or transaction(), or do this before the session's first statement "
            "(OpenSessionDep)."
        )
        if self._strict:
            raise error
        # SQLAlchemy runs in a greenlet: the caller is on the stack of its parent.
        parent = getcurrent().parent
        stack = traceback.format_stack(parent.gr_frame if parent else None)
        _logger.error("%s\n%s", error, "".join(stack))

    def require_time(self) -> None:
        """Raise `UnavailableError` if the time is used up."""
        if self.expired:
            raise UnavailableError(TOO_LONG, kind="deadline")

    def start_connecting(self) -> None:
        """Cancel the running task if the time is used up before the task holds a connection."""
        task = asyncio.current_task()
        self._connecting[task] = task.cancelling() if task else 0
        self.together.add(task)

    def end_connecting(self) -> bool:
        """Return whether the budget has cancelled the running task, and nobody else has."""
        self.end_setup()
        task = asyncio.current_task()
        cancelled_before = self._connecting.pop(task, 0)
        self.together.discard(task)
        if task is None or task not in self._cancelled:
            return False
        self._cancelled.discard(task)
        return task.uncancel() <= cancelled_before

    def start_setup(self, connection: tuple[Any, Driver]) -> None:
        """Hold a new connection that is not ready yet."""
        self._held[asyncio.current_task()] = connection

    def end_setup(self) -> None:
        """Record that the connection is ready, or could not be set up."""
        self._held.pop(asyncio.current_task(), None)

    def hold(self, holder: object, connection: tuple[Any, Driver] | None = None) -> None:
        """Record that `holder` has a connection, until it calls `release`.

        `connection` is the driver's connection, which is closed when the time is used up.
        """
        self._held[holder] = connection
        self.together.add(holder)

    def release(self, holder: object) -> None:
        """Record that `holder` has released its connection."""
        self._held.pop(holder, None)
        self.together.discard(holder)
        if self._held:
            return
        if self._is_handed_out:
            self._is_handed_out = False
            self.end_call()
        if not self._calls:
            self._cancel_check()

    def start_call(self) -> None:
        """Start to count, unless another call is running. Each call needs its `end_call`."""
        self._calls += 1
        if self._calls == 1:
            self._counting_since = time.monotonic()
            if self._timer is None:
                self._schedule_check()

    def end_call(self) -> None:
        """Stop counting, unless another call is still running."""
        self._calls -= 1
        if self._calls:
            return
        self._counted_until = time.monotonic()
        self._left -= self._counted_until - self._counting_since
        if not self._held:
            self._cancel_check()

    def hand_out(self) -> None:
        """Count until the connection is released, because its user does not say when it is idle."""
        if self._held and not self._is_handed_out:
            self._is_handed_out = True
            self.start_call()

    def _schedule_check(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._left, self._check, context=NO_CONTEXT)

    def _cancel_check(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _check(self) -> None:
        """Close the connections if the time is used up, else check again when it may be."""
        loop = asyncio.get_running_loop()
        late = loop.time() - self._timer.when() if self._timer else 0
        self._timer = None
        if not self._calls:
            return  # the next `start_call` schedules a check
        now = time.monotonic()
        self._left -= now - self._counting_since
        self._counting_since = now
        if late > _LATE and not self._was_blocked:
            # By a debugger, for example. The response may have arrived unnoticed, and that time was
            # not the database's.
            self._was_blocked = True
            self._left = max(self._left, 0) + late
        if self._left > 0.001:  # the precision of timers
            self._schedule_check()
            return
        self.expired = True
        if not self._held:
            for task in self._connecting:
                if task and task.cancel():
                    self._cancelled.add(task)
        for held in self._held.values():
            if held:
                connection, driver = held
                driver.abort(connection)


CURRENT_BUDGET: Final[ContextVar[Budget | None]] = ContextVar("budget", default=None)


def current_budget() -> Budget | None:
    """Return the budget of the running request, job or block, or None."""
    return CURRENT_BUDGET.get()


def enter_budget(budget: Budget) -> Budget | None:
    """Make a budget the current one, and return the previous one for `exit_budget`."""
    previous = CURRENT_BUDGET.get()
    CURRENT_BUDGET.set(budget)
    return previous


def exit_budget(previous: Budget | None) -> None:
    """Restore the previous budget. Tasks that a request has started no longer share its own."""
    budget: Budget | None = CURRENT_BUDGET.get()
    if budget:
        budget.is_shared = budget.is_guarded = False
    CURRENT_BUDGET.set(previous)


@contextmanager
def budgeted(budget: Budget) -> Iterator[Budget]:
    """Apply a budget to a block of code. Within a request, the request's own applies instead."""
    current = CURRENT_BUDGET.get()
    if current and current.is_shared:
        yield current
        return
    if current and current.is_guarded:
        budget.join(current.together)
    previous = enter_budget(budget)
    try:
        yield budget
    finally:
        exit_budget(previous)


def enter_guard() -> Budget | None:
    """Refuse a second connection to all blocks until `exit_budget`, which needs what is returned.

    For requests, with the tasks and streams that follow a handler, and for WebSockets. A request that
    the application sends to itself has a guard of its own.
    """
    return enter_budget(Budget(math.inf, guarded=True))


@contextmanager
def one_connection_at_a_time() -> Iterator[None]:
    """Refuse a second connection to the blocks within, as `enter_guard` does: for jobs."""
    with budgeted(Budget(math.inf, guarded=True)):
        yield


def require_no_connection(purpose: str) -> None:
    """Raise or log `SecondConnectionError` if the current budget holds a connection."""
    if budget := CURRENT_BUDGET.get():
        budget.require_no_connection(purpose)
