"""The budget of a request: one connection at a time, and a limited time in the database.

Only calls into the database count: waiting for the pool, connecting, statements, COMMIT. The time
that a handler spends elsewhere does not.

`statement_timeout` does not help against a server that hangs (a stalled disk, a stopped process, a
cut network), because the server itself has to enforce it. Nor does cancelling the task, because
both drivers then wait for the server to confirm. So when the time is used up, the socket is closed,
which fails everything that waits on it at once.
"""

import asyncio
import logging
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from functools import wraps
from typing import Any, Final, Protocol, TypeVar, cast

from greenlet import getcurrent

from app.core.database.drivers import Driver
from app.exceptions import UnavailableError

MethodT = TypeVar("MethodT", bound=Callable[..., Any])

_logger: Final = logging.getLogger(__name__)

TOO_LONG: Final = "The database took too long to respond"

# For timers: they hold a reference to their context, which would keep the request alive.
NO_CONTEXT: Final = Context()


class SecondConnectionError(RuntimeError):
    """A programming error: code holds a connection while it wants another or does not need it.

    If all requests that hold a connection wait for a second one, the pool is deadlocked.
    """


class Budget:
    """The time and the one connection that a request, job or block of code may use.

    With `strict`, holding a connection where none may be held raises an error, else it is logged.
    A `shared` budget, such as that of a request, also applies to the blocks within it. It stops
    being shared when the request ends, because tasks that the request has started may go on.
    """

    def __init__(self, seconds: float, *, strict: bool = False, shared: bool = False) -> None:
        self.expired = False
        self.is_shared = shared
        self._left = seconds
        self._strict = strict
        self._calls = 0  # calls into the database that have not returned
        self._counting_since = 0.0
        self._is_handed_out = False
        self._timer: asyncio.TimerHandle | None = None
        self._held: dict[object, tuple[Any, Driver] | None] = {}

    @property
    def seconds(self) -> float:
        """The remaining time, in seconds."""
        return max(self._left, 0)

    def require_no_connection(self, purpose: str) -> None:
        """Raise or log `SecondConnectionError` if the request holds a connection.

        Blocks outside of a request may nest: nobody waits for them.
        """
        if not self._held or not self.is_shared:
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
            raise UnavailableError(TOO_LONG)

    def hold(self, holder: object, connection: tuple[Any, Driver] | None = None) -> None:
        """Record that `holder` has a connection, until it calls `release`.

        `connection` is the driver's connection, which is closed when the time is used up.
        """
        self._held[holder] = connection

    def release(self, holder: object) -> None:
        """Record that `holder` has released its connection."""
        self._held.pop(holder, None)
        if self._held:
            return
        if self._is_handed_out:
            self._is_handed_out = False
            self.end_call()
        if not self._calls:
            self._cancel_check()

    def start_call(self) -> None:
        """Start to count, unless another call is running already. Each call needs its `end_call`."""
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
        self._left -= time.monotonic() - self._counting_since
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
        self._timer = None
        if not self._calls:
            return  # the next `start_call` schedules a check
        now = time.monotonic()
        self._left -= now - self._counting_since
        self._counting_since = now
        if self._left > 0.001:  # the precision of timers
            self._schedule_check()
            return
        self.expired = True
        for held in self._held.values():
            if held:
                connection, driver = held
                driver.abort(connection)


_current: Final[ContextVar[Budget | None]] = ContextVar("budget", default=None)


def current_budget() -> Budget | None:
    """Return the budget of the running request, job or block, or None."""
    return _current.get()


def enter_budget(budget: Budget) -> Budget | None:
    """Make a budget the current one, and return the previous one for `exit_budget`."""
    previous = _current.get()
    _current.set(budget)
    return previous


def exit_budget(previous: Budget | None) -> None:
    """Restore the previous budget. Tasks that a request has started no longer share its own."""
    budget: Budget | None = _current.get()
    if budget:
        budget.is_shared = False
    _current.set(previous)


@contextmanager
def budgeted(budget: Budget) -> Iterator[Budget]:
    """Apply a budget to a block of code. Within a request, the request's own applies instead."""
    current = _current.get()
    if current and current.is_shared:
        yield current
        return
    previous = enter_budget(budget)
    try:
        yield budget
    finally:
        exit_budget(previous)


def require_no_connection(purpose: str) -> None:
    """Raise or log `SecondConnectionError` if the current budget holds a connection."""
    if budget := _current.get():
        budget.require_no_connection(purpose)


class Counted(Protocol):
    """An object whose calls count against its own budget, or against the current one if it has none.

    It needs its own where blocks are nested: within the inner block, the inner budget is current.
    """

    @property
    def budget(self) -> Budget | None: ...


def counted(method: MethodT) -> MethodT:
    """Wrap a coroutine method of a `Counted` object so that its time counts."""

    @wraps(method)
    async def count(owner: Counted, *arguments: Any, **options: Any) -> Any:
        current = _current.get()
        budget = owner.budget or current
        if budget is None:
            return await method(owner, *arguments, **options)
        if budget is not current:
            _current.set(budget)
        budget.start_call()
        try:
            return await method(owner, *arguments, **options)
        finally:
            budget.end_call()
            if budget is not current:
                _current.set(current)

    return cast("MethodT", count)


def counted_until_release(method: MethodT) -> MethodT:
    """Wrap a coroutine method whose result uses the database later.

    Time counts from its call until the connection is released.
    """

    @counted
    @wraps(method)
    async def count(*arguments: Any, **options: Any) -> Any:
        result = await method(*arguments, **options)
        if budget := _current.get():
            budget.hand_out()
        return result

    return cast("MethodT", count)
