"""What one request may use of the database: one connection at a time, and so many seconds.

The seconds are those in which the database is asked: waiting in the queue of the pool, connecting,
statements, COMMIT. What a handler does in between does not count.

`statement_timeout` is the server's to keep, and a server that hangs (a stalled disk, a stopped
process, a cut network) keeps nothing. Cancelling the task does not help either: both drivers then
wait for the server to confirm. So when the seconds are used up, the socket itself is shut down,
which ends every wait on it with an error at once.
"""

import asyncio
import logging
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, Token
from functools import wraps
from typing import Any, Final, Protocol, TypeVar, cast

from greenlet import getcurrent

from app.core.database.drivers import Driver
from app.exceptions import UnavailableError

MethodT = TypeVar("MethodT", bound=Callable[..., Any])

_logger: Final = logging.getLogger(__name__)

TOO_LONG: Final = "The database took too long to answer"

# A timer keeps the context in which it was made: that of a request would keep the request alive.
_NO_CONTEXT: Final = Context()


class SecondConnectionError(RuntimeError):
    """A programming error: code that holds a connection wants another one, or works without it.

    A pool whose connections are all held by requests that wait for a second one stands still.
    """


class Budget:
    """The connection and the seconds that one request, job or block of code uses.

    With `strict`, holding a connection where none may be held raises; else it is logged. A `shared`
    budget, that of a request, also holds for blocks within it until it has ended: tasks that the
    request has started may outlive it.
    """

    def __init__(self, seconds: float, *, strict: bool = False, shared: bool = False) -> None:
        self.expired = False
        self.is_shared = shared
        self._left = seconds
        self._strict = strict
        self._calls = 0  # counted calls that have not returned yet
        self._asked_at = 0.0
        self._is_handed_out = False
        self._timer: asyncio.TimerHandle | None = None
        self._held: dict[object, tuple[Any, Driver] | None] = {}

    @property
    def seconds(self) -> float:
        """The seconds that are left."""
        return max(self._left, 0)

    def require_no_connection(self, purpose: str) -> None:
        """Raise, or log, `SecondConnectionError` if a connection is held."""
        if not self._held:
            return
        error = SecondConnectionError(
            f"A connection is held {purpose}. Finish with it first: leave the block of "
            "database.read() or transaction(), or do this before the session's first statement "
            "(OpenSessionDep)."
        )
        if self._strict:
            raise error
        # SQLAlchemy runs in a greenlet: the stack that tells who asks is that of its parent.
        parent = getcurrent().parent
        stack = traceback.format_stack(parent.gr_frame if parent else None)
        _logger.error("%s\n%s", error, "".join(stack))

    def take(self, holder: object, connection: tuple[Any, Driver] | None = None) -> None:
        """Note that a connection is held, until `give_back` is called for the same holder.

        `connection` is the driver's, which is broken when the seconds are used up. Raises
        `UnavailableError` if they are used up already.
        """
        if self.expired:
            raise UnavailableError(TOO_LONG)
        self._held[holder] = connection

    def give_back(self, holder: object) -> None:
        """Note that a connection is held no longer."""
        self._held.pop(holder, None)
        if self._held:
            return
        if self._is_handed_out:
            self._is_handed_out = False
            self.pause()
        if not self._calls:
            self._stop_watching()

    def ask(self) -> None:
        """Begin to count: the database is asked. Each call needs its `pause`."""
        self._calls += 1
        if self._calls == 1:
            self._asked_at = time.monotonic()
            if self._timer is None:
                self._watch()

    def pause(self) -> None:
        """Stop counting, unless something else still asks: the database has answered."""
        self._calls -= 1
        if self._calls:
            return
        self._left -= time.monotonic() - self._asked_at
        if not self._held:
            self._stop_watching()

    def hand_out(self) -> None:
        """Count until the connection is given back: somebody uses it without saying when."""
        if self._held and not self._is_handed_out:
            self._is_handed_out = True
            self.ask()

    def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._left, self._look, context=_NO_CONTEXT)

    def _stop_watching(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        """Break the connection if the seconds are used up; else look again when they may be."""
        self._timer = None
        if not self._calls:
            return  # the next `ask` watches
        now = time.monotonic()
        self._left -= now - self._asked_at
        self._asked_at = now
        if self._left > 0.001:  # a timer's own precision
            self._watch()
            return
        self.expired = True
        for held in self._held.values():
            if held:
                connection, driver = held
                driver.abort(connection)


_current: Final[ContextVar[Budget | None]] = ContextVar("budget", default=None)


def current_budget() -> Budget | None:
    """Return the budget of the request, job or block that runs, or None outside of one."""
    return _current.get()


def begin_budget(budget: Budget) -> Token[Budget | None]:
    """Let a budget hold until `end_budget` is called with the result."""
    return _current.set(budget)


def end_budget(token: Token[Budget | None]) -> None:
    """Let the budget before hold again, and end this one."""
    budget: Budget | None = _current.get()
    if budget:
        budget.is_shared = False
    _current.reset(token)


@contextmanager
def budgeted(budget: Budget) -> Iterator[Budget]:
    """Let a budget hold for a block. Within a request, the request's own holds on."""
    outer = _current.get()
    if outer and outer.is_shared:
        yield outer
        return
    token = begin_budget(budget)
    try:
        yield budget
    finally:
        end_budget(token)


def require_no_connection(purpose: str) -> None:
    """Raise, or log, `SecondConnectionError` if the running request holds a connection."""
    if budget := _current.get():
        budget.require_no_connection(purpose)


class Spender(Protocol):
    """An object whose time is counted: against its own budget, or else against that in force.

    It needs its own where blocks are nested, since within the inner one the inner one's is in force.
    """

    @property
    def budget(self) -> Budget | None: ...


def counted(method: MethodT) -> MethodT:
    """Return a coroutine method of a `Spender` whose time is counted."""

    @wraps(method)
    async def count(spender: Spender, *arguments: Any, **options: Any) -> Any:
        outer = _current.get()
        budget = spender.budget or outer
        if budget is None:
            return await method(spender, *arguments, **options)
        token = None if budget is outer else _current.set(budget)
        budget.ask()
        try:
            return await method(spender, *arguments, **options)
        finally:
            budget.pause()
            if token:
                _current.reset(token)

    return cast("MethodT", count)


def counted_on(method: MethodT) -> MethodT:
    """Return a coroutine method whose result asks the database, too.

    The budget counts until the connection is given back.
    """

    @counted
    @wraps(method)
    async def count_on(*arguments: Any, **options: Any) -> Any:
        result = await method(*arguments, **options)
        if budget := _current.get():
            budget.hand_out()
        return result

    return cast("MethodT", count_on)
