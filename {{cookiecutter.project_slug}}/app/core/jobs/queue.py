"""Queueing jobs in the transaction that asks for them."""

from datetime import timedelta
from typing import Final

from pgqueuer import Queries
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.jobs.drivers import SessionDriver
from app.core.jobs.origin import origin_headers
from app.core.jobs.payload import JobPayload

_NOW: Final = timedelta(0)


class JobQueue:
    """Queues jobs in the transaction of a session: a job exists if and only if that commits."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def enqueue(
        self, *payloads: JobPayload, priority: int = 0, delay: timedelta = _NOW
    ) -> list[int]:
        """Queue jobs, all by one statement, and return their ids.

        They run no earlier than `delay` after the start of the transaction. Of the due jobs, those
        with the highest `priority` run first.
        """
        if not payloads:
            return []
        number, headers = len(payloads), origin_headers()
        ids = await Queries(SessionDriver(self._session)).enqueue(
            [payload.job for payload in payloads],
            [payload.model_dump_json().encode() for payload in payloads],
            [priority] * number,
            [delay] * number,
            headers=[headers] * number if headers else None,
        )
        return [int(job_id) for job_id in ids]
