"""The session of a request."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Final, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.budget import Budget, enter_budget, exit_budget
from app.core.database.counted_sessions import CountedSession
from app.core.database.sessions import commit, roll_back
from app.exceptions import UnavailableError

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


class UnitOfWork:
    """The session of a request: opened on first use, committed at the end, rolled back on an error.

    The edge (`app.core.http.edge`) enters it around the handler. `on_open` is called with the
    session when it is opened. If that raises an error, the request fails with it, even if the
    handler suppresses it.
    """

    def __init__(
        self,
        budget: Budget,
        open_session: Callable[[], CountedSession],
        on_open: Callable[[AsyncSession], Awaitable[None]] | None = None,
    ) -> None:
        self.opened: CountedSession | None = None
        self._budget = budget
        self._open_session = open_session
        self._on_open = on_open  # until it has run
        self._refusal: Exception | None = None
        self._opening: asyncio.Lock | None = asyncio.Lock() if on_open else None
        self._is_over = False

    async def session(self) -> AsyncSession:
        """Return the session, opened on the first call.

        Raises what `on_open` raises, and `RuntimeError` in a task that has outlived the request, whose
        session nobody would commit or close.
        """
        if self._is_over:
            raise RuntimeError(
                "The request is over. Tasks that outlive it, and background tasks, use "
                "database.transaction() or database.read()."
            )
        if self.opened is None:
            self.opened = self._open_session()
        if self._opening:
            async with self._opening:
                await self._run_on_open(self.opened)
        return self.opened

    async def _run_on_open(self, session: AsyncSession) -> None:
        if self._refusal:
            raise self._refusal
        if self._on_open is None:
            return
        # Stays set if the claim is cancelled, for example by a timeout in the handler.
        self._refusal = UnavailableError("The session was not opened in time", kind="deadline")
        try:
            await self._on_open(session)
        except Exception as error:
            self._refusal = error
            raise
        self._refusal = self._on_open = None

    async def undo(self) -> None:
        """Roll back what the request has done so far."""
        if self.opened:
            await roll_back(self.opened)
            self.opened = None

    async def __aenter__(self) -> None:
        self._previous_budget = enter_budget(self._budget)
        self._previous_work = _current_work.get()
        _current_work.set(self)

    async def __aexit__(
        self, _kind: object, error: BaseException | None, _traceback: object
    ) -> None:
        self._is_over = True
        try:
            if self.opened and not error and not self._refusal:
                await commit(self.opened)
                return
            await self.undo()
            if self._refusal and not isinstance(error, asyncio.CancelledError):
                raise self._refusal
        finally:
            exit_budget(self._previous_budget)
            _current_work.set(self._previous_work)


_current_work: Final[ContextVar[UnitOfWork | None]] = ContextVar("unit_of_work", default=None)


async def get_async_session() -> AsyncSession:
    """Return the session of the running request: read-only for safe methods, else a transaction.

    The edge commits it after the handler and before the response. Raises `RuntimeError` outside of
    a request, and `UnavailableError`.
    """
    work = _current_work.get()
    if work is None:
        raise RuntimeError(
            "There is no session of a request here: the request is over, or its router lacks "
            "route_class=EdgeRoute. In background tasks, generators, WebSocket routes and commands "
            "use database.transaction() or database.read()."
        )
    return await work.session()


async def get_open_session() -> Callable[[], Awaitable[AsyncSession]]:
    """Return `get_async_session`, for routes that throttle, hash or call another system first.

    Until they call it, no idempotency key is claimed; claiming one takes a connection.
    """
    return get_async_session


# Dependencies that use the session of a request. The edge looks for them in routes.
SESSION_DEPENDENCIES: Final[set[Callable[..., Any]]] = {get_async_session, get_open_session}


def takes_session(dependency: FunctionT) -> FunctionT:
    """Declare that a dependency calls `get_async_session` itself, instead of depending on it."""
    SESSION_DEPENDENCIES.add(dependency)
    return dependency
