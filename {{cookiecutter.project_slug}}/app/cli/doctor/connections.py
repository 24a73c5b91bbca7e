"""The arithmetic of docs/scaling.md: do the pools of all processes fit into PostgreSQL?"""

import os
from collections.abc import Sequence
from typing import Final

from sqlalchemy import URL, text

from app.cli.doctor.database import connected, look_for_pooler
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

# Connections beside the pools: of the readiness check of a process, the queue of a worker, and `app migrate`.
_READINESS: Final = 1
_QUEUE: Final = 3
_MIGRATION: Final = 2


async def check_connections(examined: Examined) -> Sequence[Finding]:
    """Compare the connections that the service may open with those that PostgreSQL accepts."""
    settings = examined.database
    processes = _processes(examined)
    if processes is None:
        found = f"WEB_CONCURRENCY is {os.environ['WEB_CONCURRENCY']!r}"
        return [error(found, "set it to the number of processes, 1 or more")]
    if settings.database_pooler and (await look_for_pooler(examined))[0]:
        each = _pools(settings) + _READINESS
        accepted, name = await _accepted(examined, settings.database_url)
        pooler = f"{processes} x {each} = {processes * each} of max_client_conn of the pooler"
        return [ok(f"{pooler}, which may open up to {accepted} in all ({name})")]
    return [await _compared(examined, settings.database_url, *_needed(examined, processes))]


async def check_replica(examined: Examined) -> Sequence[Finding]:
    """Compare them on the replica, too, where the pools for reading exist a second time."""
    settings, processes = examined.database_settings, _processes(examined)
    if settings is None or settings.database_replica_url is None or processes is None:
        return []
    each = settings.database_read_pool_size + settings.database_search_pool_size
    url = settings.database_replica_url
    return [await _compared(examined, url, processes * each, f"{processes} x {each}")]


def _processes(examined: Examined) -> int | None:
    """Return the number of processes of the service, or None if WEB_CONCURRENCY is wrong."""
    given = os.environ.get("WEB_CONCURRENCY") or "1"
    return examined.processes or (int(given) if given.isdecimal() else 0) or None


async def _accepted(examined: Examined, url: URL) -> tuple[int, str]:
    """Return how many connections a server accepts, and which of its limits says so."""
    async with connected(examined, examined.database, url) as session:
        limits = (await session.execute(_LIMITS)).one()
    named = zip(limits, _LIMIT_NAMES, strict=True)
    return min((limit, name) for limit, name in named if limit >= 0)


async def _compared(examined: Examined, url: URL, needed: int, parts: str) -> Finding:
    accepted, name = await _accepted(examined, url)
    found = f"{parts} = {needed} of {accepted} ({name})"
    if needed > accepted:
        todo = "raise that limit, make DATABASE_*POOL_SIZE smaller, or see docs/scaling.md"
        return error(found, todo)
    return ok(found)


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
    process, worker, workers = pools + _READINESS, pools + _QUEUE, examined.workers
    if examined.all_settings:
        jobs = examined.all_settings.worker_jobs
        pools_of_jobs = (settings.database_pool_size, settings.database_read_pool_size)
        worker = sum(min(jobs, size) for size in pools_of_jobs) + _QUEUE
        if examined.all_settings.worker_in_service:
            process, workers = process + _QUEUE, 0
    parts = f"{processes} x {process} + {workers} x {worker} for workers + {_MIGRATION} to migrate"
    return processes * process + workers * worker + _MIGRATION, parts
