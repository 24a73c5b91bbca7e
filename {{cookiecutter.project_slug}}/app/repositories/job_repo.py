from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

# The tables are PGQueuer's. It calls a dead job `failed`.
_COUNT: Final = text("""
SELECT entrypoint, status::text, count(*), min(created)
FROM pgqueuer GROUP BY entrypoint, status ORDER BY entrypoint, status
""")
_LIST_DEAD: Final = text("""
SELECT job.id, job.entrypoint, job.attempts + 1, job.updated, convert_from(job.payload, 'UTF8'),
    last.traceback ->> 'exception_type', last.traceback ->> 'exception_message'
FROM pgqueuer AS job
LEFT JOIN LATERAL (
    SELECT traceback FROM pgqueuer_log
    WHERE job_id = job.id AND traceback IS NOT NULL ORDER BY created DESC LIMIT 1
) AS last ON true
WHERE job.status = 'failed' ORDER BY job.id DESC LIMIT :limit
""")
_RETRY: Final = text("""
UPDATE pgqueuer SET status = 'queued', attempts = 0, execute_after = now(), updated = now()
WHERE status = 'failed' AND (cardinality(CAST(:ids AS bigint[])) = 0 OR id = ANY(:ids))
RETURNING id
""")
_DELETE: Final = text("""
DELETE FROM pgqueuer WHERE status = 'failed' AND id = ANY(CAST(:ids AS bigint[])) RETURNING id
""")
_DELETE_LOG: Final = text("""
WITH deleted AS (
    DELETE FROM pgqueuer_log
    WHERE created < now() - CAST(:kept AS interval)
        AND NOT EXISTS (SELECT FROM pgqueuer WHERE id = job_id)
    RETURNING 1
)
SELECT count(*) FROM deleted
""")


class QueuedJobs(NamedTuple):
    """The jobs of a kind in a state: `queued`, `picked` (running) or `failed` (dead)."""

    kind: str
    state: str
    number: int
    oldest: datetime


class DeadJob(NamedTuple):
    """A job that is not tried again, with its last error."""

    id: int
    kind: str
    attempts: int
    failed_at: datetime
    payload: str
    error_type: str | None
    error: str | None


class JobRepository:
    """SQL for jobs. Every method runs one statement."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def count(self) -> Sequence[QueuedJobs]:
        return [QueuedJobs(*row) for row in await self._session.execute(_COUNT)]

    async def list_dead(self, limit: int) -> Sequence[DeadJob]:
        rows = await self._session.execute(_LIST_DEAD, {"limit": limit})
        return [DeadJob(*row) for row in rows]

    async def retry_dead(self, ids: Sequence[int]) -> Sequence[int]:
        """Queue dead jobs again, all if no `ids` are given, and return their ids."""
        return (await self._session.scalars(_RETRY, {"ids": list(ids)})).all()

    async def delete_dead(self, ids: Sequence[int]) -> Sequence[int]:
        return (await self._session.scalars(_DELETE, {"ids": list(ids)})).all()

    async def delete_log(self, kept: timedelta) -> int:
        """Delete older log entries of jobs that are gone, and return the number."""
        deleted: int = await self._session.scalar(_DELETE_LOG, {"kept": kept})
        return deleted
