from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from pgqueuer import JobId, Queries
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.jobs.drivers import SessionDriver

# The tables are PGQueuer's. It calls running jobs `picked`, and dead ones `failed`.
_COUNT: Final = text("""
SELECT entrypoint AS kind, state, count(*) AS number, min(since) AS since,
    CAST(extract(epoch FROM now() - min(since)) AS float) AS seconds
FROM (
    SELECT entrypoint, CASE status WHEN 'picked' THEN 'running' WHEN 'failed' THEN 'dead'
        ELSE status::text END AS state,
        CASE status WHEN 'queued' THEN execute_after ELSE updated END AS since
    FROM pgqueuer
) AS job
GROUP BY entrypoint, state ORDER BY entrypoint, state
""")
_LIST_DEAD: Final = text("""
SELECT job.id, job.entrypoint AS kind, job.attempts + 1 AS attempts, job.updated AS failed_at,
    convert_from(job.payload, 'UTF8') AS payload,
    last.traceback ->> 'exception_type' AS error_type, last.traceback ->> 'exception_message' AS error
FROM pgqueuer AS job
LEFT JOIN LATERAL (
    SELECT traceback FROM pgqueuer_log
    WHERE job_id = job.id AND traceback IS NOT NULL ORDER BY created DESC LIMIT 1
) AS last ON true
WHERE job.status = 'failed' ORDER BY job.updated DESC, job.id DESC LIMIT :limit
""")
_LOCK_DEAD: Final = text("""
SELECT id FROM pgqueuer
WHERE status = 'failed'
    AND (CAST(:ids AS bigint[]) IS NULL OR id = ANY(CAST(:ids AS bigint[])))
ORDER BY id FOR UPDATE
""")
_DELETE: Final = text("""
DELETE FROM pgqueuer WHERE status = 'failed' AND id = ANY(CAST(:ids AS bigint[])) RETURNING id
""")
_DELETE_LONG_DEAD: Final = text("""
WITH deleted AS (
    DELETE FROM pgqueuer
    WHERE status = 'failed' AND updated < now() - CAST(:kept AS interval) RETURNING 1
)
SELECT count(*) FROM deleted
""")
_DELETE_LOG: Final = text("""
WITH deleted AS (
    DELETE FROM pgqueuer_log WHERE id = ANY(ARRAY(
        SELECT id FROM pgqueuer_log AS entry
        WHERE created < CAST(:now AS timestamptz) - CAST(:kept AS interval)
            AND NOT EXISTS (SELECT FROM pgqueuer WHERE id = entry.job_id)
        ORDER BY created LIMIT :most
    ))
    RETURNING 1
)
SELECT count(*) FROM deleted
""")


class QueuedJobs(NamedTuple):
    """The jobs of a kind in a state: `queued`, `running` or `dead`.

    `since` is when the first of them was due, was begun, or was given up. By the clock of the database,
    that was `seconds` ago.
    """

    kind: str
    state: str
    number: int
    since: datetime
    seconds: float


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
    """SQL for jobs. Every method but `retry_dead` runs one statement."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def count(self) -> Sequence[QueuedJobs]:
        """Return the number of jobs by kind and state."""
        rows = (await self._session.execute(_COUNT)).mappings()
        return [QueuedJobs(**row) for row in rows]

    async def list_dead(self, limit: int) -> Sequence[DeadJob]:
        """Return dead jobs, the latest first."""
        rows = (await self._session.execute(_LIST_DEAD, {"limit": limit})).mappings()
        return [DeadJob(**row) for row in rows]

    async def retry_dead(self, ids: Sequence[int] | None) -> Sequence[int]:
        """Queue dead jobs again, all if `ids` is None, and return their ids. Runs two statements."""
        wanted = None if ids is None else list(ids)
        found = (await self._session.scalars(_LOCK_DEAD, {"ids": wanted})).all()
        await Queries(SessionDriver(self._session)).requeue_jobs([JobId(each) for each in found])
        return found

    async def delete_dead(self, ids: Sequence[int]) -> Sequence[int]:
        """Delete dead jobs, and return their ids."""
        return (await self._session.scalars(_DELETE, {"ids": list(ids)})).all()

    async def delete_long_dead(self, kept: timedelta) -> int:
        """Delete jobs that have been dead for longer, and return the number."""
        deleted: int = await self._session.scalar(_DELETE_LONG_DEAD, {"kept": kept})
        return deleted

    async def delete_log(self, kept: timedelta, most: int, now: datetime) -> int:
        """Delete up to `most` older log entries of jobs that no longer exist, and return the number."""
        parameters = {"kept": kept, "most": most, "now": now}
        deleted: int = await self._session.scalar(_DELETE_LOG, parameters)
        return deleted
