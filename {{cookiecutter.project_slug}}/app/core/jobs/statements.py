"""Statements on the tables of PGQueuer which PGQueuer itself does not have."""

from typing import Final

# How often a job was taken since it was last queued. Each time but the last, its worker was lost, or too busy
# to send a heartbeat.
COUNT_RUNS: Final = """
SELECT count(*) AS runs FROM pgqueuer_log
WHERE job_id = $1 AND status = 'picked' AND created > COALESCE(
    (SELECT max(created) FROM pgqueuer_log WHERE job_id = $1 AND status = 'queued'), '-infinity'
)
"""

# As PGQueuer does for a retry, without counting an attempt.
POSTPONE: Final = """
WITH postponed AS (
    UPDATE pgqueuer SET status = 'queued', execute_after = now() + CAST($2 AS interval),
        updated = now(), queue_manager_id = NULL
    WHERE id = $1 RETURNING id, entrypoint, priority
)
INSERT INTO pgqueuer_log (job_id, status, entrypoint, priority)
SELECT id, 'queued', entrypoint, priority FROM postponed
"""

# Releases jobs that a worker holds without running them: it could not record their end, or never got the
# response to the query that took them. They count as running there, and a worker that is full takes over
# no lost jobs, not even its own.
RELEASE: Final = """
UPDATE pgqueuer SET queue_manager_id = NULL
WHERE queue_manager_id = $1 AND status = 'picked' AND heartbeat < now() - CAST($2 AS interval)
AND id <> ALL($3::bigint[])
"""

COUNT_RUNNING_SCHEDULES: Final = """
SELECT count(*) AS running FROM pgqueuer_schedules
WHERE status = 'picked' AND (expression, entrypoint) IN (SELECT * FROM unnest($1::text[], $2::text[]))
"""

SCHEDULE_AGAIN: Final = """
UPDATE pgqueuer_schedules SET status = 'queued', next_run = now(), updated = now() WHERE id = ANY($1)
"""
