"""The arithmetic of docs/scaling.md: do the pools of all processes fit into PostgreSQL?"""

import os
from collections.abc import Sequence
from typing import Final

from sqlalchemy import text

from app.cli.doctor.database import connected
from app.cli.doctor.findings import Examined, Finding, error, ok
from app.core.config import DatabaseSettings

# The setting `reserved_connections` is of PostgreSQL 16.
_LIMITS: Final = text("""
SELECT current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true), '0')::int,
    rolconnlimit, datconnlimit
FROM pg_roles, pg_database WHERE rolname = session_user AND datname = current_database()
""")
_LIMIT_NAMES: Final = (
    "max_connections without reserved ones",
    "CONNECTION LIMIT of the user",
    "CONNECTION LIMIT of the database",
)

_READINESS: Final = 1
_QUEUE: Final = 3  # of a worker
_MIGRATION: Final = 2


async def check_connections(examined: Examined) -> Sequence[Finding]:
    """Compare the connections that the service may open with those that PostgreSQL accepts."""
    settings = examined.database
    try:
        processes = examined.processes or int(os.environ.get("WEB_CONCURRENCY") or 1)
    except ValueError:
        return [error("WEB_CONCURRENCY is not a number", "set it to the number of processes")]
    async with connected(examined, settings) as session:
        limits = (await session.execute(_LIMITS)).one()
    accepted, name = min(
        (limit, name) for limit, name in zip(limits, _LIMIT_NAMES, strict=True) if limit >= 0
    )
    if settings.database_pooler:
        clients = processes * (_pools(settings) + _READINESS)
        return [
            ok(
                f"{processes} x {_pools(settings) + _READINESS} = {clients} of max_client_conn of the "
                f"pooler, which may open {accepted} to PostgreSQL ({name})"
            )
        ]
    needed, sum_ = _needed(examined, processes)
    found = f"{sum_} = {needed} of {accepted} ({name})"
    if needed > accepted:
        todo = "raise that limit, make DATABASE_*POOL_SIZE smaller, or see docs/scaling.md"
        return [error(found, todo)]
    return [ok(found)]


def _pools(settings: DatabaseSettings) -> int:
    return (
        settings.database_pool_size
        + settings.database_read_pool_size
        + settings.database_search_pool_size
    )


def _needed(examined: Examined, processes: int) -> tuple[int, str]:
    """Return the connections of all processes, workers and a migration, and how they add up."""
    settings = examined.database
    pools = _pools(settings)
    process, worker, workers = pools + _READINESS, 0, examined.workers
    if examined.all_settings:
        worker = min(examined.all_settings.worker_jobs, pools) + _QUEUE
        if examined.all_settings.worker_in_service:
            process, workers = process + _QUEUE, 0
    parts = f"{processes} x {process} + {workers} x {worker} for workers + {_MIGRATION} to migrate"
    return processes * process + workers * worker + _MIGRATION, parts
