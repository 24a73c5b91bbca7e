"""A read replica with failover: while it is down, reads go to the primary without waiting."""

import asyncio
import logging
import time
from typing import Final

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import Session

from app.core.database.budget import SecondConnectionError, current_budget
from app.core.database.counted_sessions import CountedSession
from app.core.database.pool import NoTurnError
from app.exceptions import explain

_logger: Final = logging.getLogger(__name__)

# While the replica is down, one read tries it again at this interval.
_RETRY_SECONDS: Final = 5


class Replica:
    """Serves sessions while it is up."""

    def __init__(self, engine: AsyncEngine, timeout: float) -> None:
        self.engine = engine
        # A little longer than the timeouts of the driver and the pool.
        self._timeout = timeout * 1.1
        self._retry_at: float | None = None
        # For a connection that is lost in a query, or closed because a budget is used up.
        event.listen(engine.sync_engine, "invalidate", self._note_loss)

    async def connect(self, session: CountedSession, engine: AsyncEngine | None = None) -> None:
        """Connect a session, or leave it to the primary if the replica is down.

        The `engine` may be the replica's own with other execution options. A connection that is lost
        later fails the request, which may have read from it already. Raises `UnavailableError` if the
        replica is up, and all connections to it are in use, so that the primary does not carry both
        loads.
        """
        if budget := current_budget():
            budget.require_time()
        if not self._should_try():
            return
        session.move_to(engine or self.engine)
        try:
            async with asyncio.timeout(self._timeout):
                # `session.connection()` would count until the connection is released.
                await session.run_sync(Session.connection)
        except BaseException as error:
            await session.rollback()
            session.move_to(None)
            was_asked = not isinstance(error, NoTurnError | SecondConnectionError)
            if not was_asked or not isinstance(error, Exception):
                raise
            # Use the primary, whatever the error was.
            _logger.warning("The replica is down, reads go to the primary: %s", explain(error))
            self._mark_down()
        else:
            self._retry_at = None

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
