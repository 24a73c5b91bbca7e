"""Queueing jobs in the transaction that asks for them."""

from datetime import timedelta
from typing import Final

from pgqueuer.queries import Queries
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.jobs.drivers import SessionDriver
from app.core.jobs.payload import JobPayload

_NOW: Final = timedelta(0)


class JobQueue:
    """Queues jobs in the transaction of a session: a job exists if and only if that commits."""

    def __init__(self, session: AsyncSession) -> None:
        self._queries = Queries(SessionDriver(session))

    async def enqueue(
        self, payload: JobPayload, *, priority: int = 0, delay: timedelta = _NOW
    ) -> int:
        """Queue a job, by one statement, and return its id.

        It runs at the earliest `delay` after the start of the transaction. Of the jobs that are due,
        those with the highest `priority` run first.
        """
        (job_id,) = await self._queries.enqueue(
            payload.job, payload.model_dump_json().encode(), priority, delay
        )
        return job_id
