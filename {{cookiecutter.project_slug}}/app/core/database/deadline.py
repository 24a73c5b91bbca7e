"""An end to waiting for a database that does not answer at all.

`statement_timeout` is the server's to keep, and a server that hangs (a stalled disk, a stopped
process, a cut network) keeps nothing. Cancelling a task that runs a statement does not help
either: both drivers then wait for the server to confirm. So at the deadline the socket itself is
shut down, which ends every wait on it with an error at once. A task that has no connection yet,
because it waits for its turn or for the server to accept one, is cancelled.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from contextvars import Context, ContextVar
from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.database.drivers import Driver
from app.exceptions import UnavailableError

_TOO_LONG: Final = "The database took too long to answer"
# A timer keeps the context that it runs in, for as long as it would have run: that of a request
# would hold the request's deadline, which holds the timer.
_NO_CONTEXT: Final = Context()


class _Deadline:
    """The work under one deadline, and the connections that it has in use.

    A class, since a generator with `asynccontextmanager` makes more calls in each request (measured).
    """

    def __init__(self, seconds: float) -> None:
        self.in_use: dict[Any, Driver] = {}
        self.expired = False
        self._seconds = seconds
        self._cancelled = False

    async def __aenter__(self) -> None:
        task = asyncio.current_task()
        assert task  # noqa: S101 (a coroutine runs in a task)
        self._task = task
        self._outer = _current.set(self)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._seconds, self._expire, context=_NO_CONTEXT)

    async def __aexit__(
        self, _kind: object, error: BaseException | None, _traceback: object
    ) -> None:
        self._timer.cancel()
        _current.reset(self._outer)
        if not self._cancelled or not isinstance(error, asyncio.CancelledError):
            return
        if not self._task.uncancel():  # else it is somebody else's cancellation too
            raise UnavailableError(_TOO_LONG) from None

    def _expire(self) -> None:
        self.expired = True
        if not self.in_use:
            self._cancelled = self._task.cancel()
        for connection, driver in self.in_use.items():
            driver.abort(connection.driver_connection)


_current: ContextVar[_Deadline | None] = ContextVar("deadline", default=None)


def deadline(seconds: float) -> AbstractAsyncContextManager[None]:
    """Break the connections that are in use when the time is over, and allow no other.

    Raises `UnavailableError` if there is none in use by then.
    """
    return _Deadline(seconds)


def watch(engine: AsyncEngine, driver: Driver) -> None:
    """Put the connections of an engine under the deadline of those who use them."""

    @event.listens_for(engine.sync_engine, "checkout")
    def begin(connection: Any, _record: object, _proxy: object) -> None:
        if current := _current.get():
            if current.expired:
                raise UnavailableError(_TOO_LONG)
            current.in_use[connection] = driver

    @event.listens_for(engine.sync_engine, "checkin")
    def end(connection: Any, _record: object) -> None:
        if current := _current.get():
            current.in_use.pop(connection, None)
