"""A read replica with failover: while it is down, reads go to the primary without waiting."""

import asyncio
import logging
import time
from typing import Final, Generic, TypeVar

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session

from app.exceptions import UnavailableError, explain

SessionT = TypeVar("SessionT", bound=AsyncSession)

_logger: Final = logging.getLogger(__name__)

# While the replica is down, one read tries it again at this interval.
_RETRY_SECONDS: Final = 5


class Replica(Generic[SessionT]):
    """Opens sessions on a replica while it is up."""

    def __init__(
        self, engine: AsyncEngine, sessions: async_sessionmaker[SessionT], timeout: float
    ) -> None:
        self.engine = engine
        self._sessions = sessions
        # A little longer than the timeouts of the driver and the pool.
        self._timeout = timeout * 1.1
        self._retry_at: float | None = None
        # For a connection that is lost in a query, or closed because a budget is used up.
        event.listen(engine.sync_engine, "invalidate", self._note_loss)

    async def open(self) -> SessionT | None:
        """Return a connected session, or None if the replica is down.

        A connection that is lost later fails the request, which may have read from it already. Raises
        `UnavailableError` if the replica is up, and all connections to it are in use, so that the
        primary does not carry both loads.
        """
        if not self._should_try():
            return None
        session = self._sessions()
        try:
            async with asyncio.timeout(self._timeout):
                # `session.connection()` would count until the connection is released.
                await session.run_sync(Session.connection)
        except Exception as error:  # the primary is as good, whatever it is
            await session.close()
            if isinstance(error, UnavailableError) and error.kind == "pool":
                raise
            _logger.warning("The replica is down, reads go to the primary: %s", explain(error))
            self._mark_down()
            return None
        except BaseException:
            async with session:
                raise
        self._retry_at = None
        return session

    def _should_try(self) -> bool:
        if self._retry_at is None:
            return True
        if time.monotonic() < self._retry_at:
            return False
        self._mark_down()  # other reads do not wait for this attempt
        return True

    def _note_loss(self, _connection: object, _record: object, error: BaseException | None) -> None:
        if not isinstance(error, asyncio.CancelledError):  # else the replica is not at fault
            self._mark_down()

    def _mark_down(self) -> None:
        self._retry_at = time.monotonic() + _RETRY_SECONDS
