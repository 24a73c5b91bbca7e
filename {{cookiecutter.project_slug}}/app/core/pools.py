"""A connection pool that serves those who wait in the order in which they came."""

import asyncio
from typing import Any

from sqlalchemy import AsyncAdaptedQueuePool
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.util import await_

from app.exceptions import UnavailableError


class FairPool(AsyncAdaptedQueuePool):
    """SQLAlchemy's pool behind a queue.

    By itself the pool wakes waiters in any order, and under load lets some of them wait for
    seconds. The wait begins where the first statement needs a connection, not where the session
    is opened, so work before that (hashing, for instance) keeps nobody else waiting.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._turns = asyncio.Semaphore(self.size() + self._max_overflow)

    def _do_get(self) -> ConnectionPoolEntry:
        await_(self._wait())
        try:
            return super()._do_get()
        except BaseException:
            self._turns.release()
            raise

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        super()._do_return_conn(record)
        self._turns.release()

    async def _wait(self) -> None:
        """Wait for a turn, for as long as the pool may wait. Raises `UnavailableError`."""
        if not self._turns.locked():
            await self._turns.acquire()  # at once
            return
        try:
            async with asyncio.timeout(self._timeout):
                await self._turns.acquire()
        except TimeoutError:
            raise UnavailableError("Too many requests at once; nothing was done") from None
