"""Deleting expired rows: every night, and by `app prune`."""

import logging
from collections.abc import Awaitable, Callable
from typing import ClassVar, Final

from app.core.database import Database
from app.core.jobs.kinds import JobContext, JobKind, Schedule
from app.core.jobs.payload import JobPayload
from app.services.idempotency_service import IdempotencyService
from app.services.job_service import JobService

_logger: Final = logging.getLogger(__name__)


class Prune(JobPayload):
    """Delete expired rows."""

    job: ClassVar = "prune"


async def _prune_idempotency_keys(database: Database) -> int:
    async with database.transaction() as session:
        return await IdempotencyService(session, database.settings).prune()


async def _prune_dead_jobs(database: Database) -> int:
    async with database.transaction() as session:
        return await JobService(session).prune_dead()


async def _prune_job_log(database: Database) -> int:
    async with database.transaction() as session:
        return await JobService(session).prune_log()


# Each function deletes expired rows and returns their number.
PRUNERS: Final[dict[str, Callable[[Database], Awaitable[int]]]] = {
    "idempotency keys": _prune_idempotency_keys,
    "dead jobs": _prune_dead_jobs,
    "log entries of jobs": _prune_job_log,
}


async def prune(database: Database) -> dict[str, int]:
    """Delete expired rows, and return the number of each kind."""
    return {kind: await delete(database) for kind, delete in PRUNERS.items()}


async def _prune(_payload: Prune, context: JobContext) -> None:
    for kind, number in (await prune(context.database)).items():
        _logger.info("deleted %d expired %s", number, kind)


PRUNE: Final = JobKind(Prune, _prune, timeout=30 * 60, at_once=1)

PRUNE_NIGHTLY: Final = Schedule("17 3 * * *", Prune())
