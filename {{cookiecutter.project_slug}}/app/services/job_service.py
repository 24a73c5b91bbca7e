from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.job_repo import DeadJob, JobRepository, QueuedJobs

# Long enough to find out why a job failed, and no longer: payloads may hold personal data.
_DEAD_KEPT: Final = timedelta(days=30)
_LOG_KEPT: Final = timedelta(days=7)
# Each job has a few. Deleting this many takes a fraction of DATABASE_STATEMENT_TIMEOUT.
_LOG_ENTRIES_AT_ONCE: Final = 10_000


class JobService:
    """The state of jobs, for operators of the service."""

    def __init__(self, session: AsyncSession) -> None:
        self._jobs = JobRepository(session)

    async def count(self) -> Sequence[QueuedJobs]:
        """Return the number of jobs by kind and state."""
        return await self._jobs.count()

    async def list_dead(self, limit: int) -> Sequence[DeadJob]:
        """Return dead jobs, the latest first."""
        return await self._jobs.list_dead(limit)

    async def retry(self, ids: Sequence[int] | None) -> Sequence[int]:
        """Queue dead jobs again, all if `ids` is None, and return their ids."""
        return await self._jobs.retry_dead(ids)

    async def discard(self, ids: Sequence[int]) -> Sequence[int]:
        """Delete dead jobs, and return their ids."""
        return await self._jobs.delete_dead(ids)

    async def prune_dead(self) -> int:
        """Delete jobs that have been dead for 30 days, and return the number."""
        return await self._jobs.delete_long_dead(_DEAD_KEPT)

    async def prune_log(self, now: datetime) -> int:
        """Delete a batch of the log entries that are old by `now`, and return the number: 0 when none is left."""
        return await self._jobs.delete_log(_LOG_KEPT, _LOG_ENTRIES_AT_ONCE, now)
