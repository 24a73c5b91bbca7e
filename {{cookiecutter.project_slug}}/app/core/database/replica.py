"""A read replica, which may be down: reads then go to the primary, and do not wait for it again."""

import asyncio
import time
from typing import Final, Generic, TypeVar

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session

from app.exceptions import UnavailableError

SessionT = TypeVar("SessionT", bound=AsyncSession)

# While the replica is down, one read in so many seconds tries it.
_RETRY_SECONDS: Final = 5


class Replica(Generic[SessionT]):
    """Sessions that read from a replica while it answers."""

    def __init__(
        self, engine: AsyncEngine, sessions: async_sessionmaker[SessionT], timeout: float
    ) -> None:
        self.engine = engine
        self._sessions = sessions
        # A little later than the driver's own end to waiting, and the pool's.
        self._timeout = timeout * 1.1
        self._retry_at: float | None = None
        # A connection that breaks in a query, or that a request's deadline breaks.
        event.listen(engine.sync_engine, "invalidate", self._note_loss)

    async def open(self) -> SessionT | None:
        """Return a session that is connected, or None if the replica is down.

        A connection lost later is an error of the request: part of the answer may be read.
        """
        if not self._is_worth_a_try():
            return None
        session = self._sessions()
        try:
            async with asyncio.timeout(self._timeout):
                await session.run_sync(Session.connection)
        except (UnavailableError, TimeoutError):
            self._mark_down()
            await session.close()
            return None
        self._retry_at = None
        return session

    def _is_worth_a_try(self) -> bool:
        if self._retry_at is None:
            return True
        if time.monotonic() < self._retry_at:
            return False
        self._mark_down()  # for the others, while this one tries
        return True

    def _note_loss(self, _connection: object, _record: object, error: BaseException | None) -> None:
        if not isinstance(error, asyncio.CancelledError):  # the end of a request is none of it
            self._mark_down()

    def _mark_down(self) -> None:
        self._retry_at = time.monotonic() + _RETRY_SECONDS
