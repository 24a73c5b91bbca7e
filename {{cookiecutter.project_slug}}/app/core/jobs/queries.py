"""PGQueuer's statements, as a worker runs them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from pgqueuer import Job, JobId, Queries
from pgqueuer.models import JOB_STATUS, TracebackRecord

from app.exceptions import UnavailableError

_PAUSE: Final = 0.5

# The runs of a job since it was queued last. All but the last one have ended with their worker.
_COUNT_RUNS: Final = """
SELECT count(*) AS runs FROM pgqueuer_log
WHERE job_id = $1 AND status = 'picked' AND created > COALESCE(
    (SELECT max(created) FROM pgqueuer_log WHERE job_id = $1 AND status = 'queued'), '-infinity'
)
"""


@dataclass
class WorkerQueries(Queries):
    """Waits for the database up to `patience` seconds to record how a job has ended.

    PGQueuer itself makes a job a dead one if its next attempt cannot be recorded, and forgets what it
    could not record when a worker stops. Jobs whose end is not recorded in time are taken over.
    """

    patience: float = 0

    async def log_jobs(
        self, job_status: list[tuple[Job, JOB_STATUS, TracebackRecord | None]]
    ) -> None:
        """Record that jobs are done or dead. Raises `UnavailableError`."""
        await self._persist(lambda: super(WorkerQueries, self).log_jobs(job_status))

    async def retry_job(
        self, job: Job, delay: timedelta, traceback_record: TracebackRecord | None
    ) -> None:
        """Queue a job again."""
        try:
            await self._persist(
                lambda: super(WorkerQueries, self).retry_job(job, delay, traceback_record)
            )
        except UnavailableError:
            return  # it is taken over

    async def count_runs(self, job_id: JobId) -> int:
        """Return how often a job was begun since it was queued last, by one statement."""
        (row,) = await self.driver.fetch(_COUNT_RUNS, job_id)
        return int(str(row["runs"]))

    async def _persist(self, record: Callable[[], Awaitable[None]]) -> None:
        """Repeat a statement, which may have had its effect, until the database has responded."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self.patience
        while True:
            try:
                return await record()
            except UnavailableError:
                if loop.time() > end:
                    raise
            await asyncio.sleep(_PAUSE)
