"""Deleting expired rows: every night, and by `app prune`."""

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import ClassVar, Final, NamedTuple

from app.core.database import Database
from app.core.jobs.kinds import JobContext, JobKind, Schedule
from app.core.jobs.payload import JobPayload
from app.exceptions import explain
from app.services.idempotency_service import IdempotencyService
from app.services.job_service import JobService

_logger: Final = logging.getLogger(__name__)


class Prune(JobPayload):
    """Delete expired rows."""

    job: ClassVar = "prune"


async def repeat(delete_some: Callable[[datetime], Awaitable[int]]) -> int:
    """Delete rows of a large table until none is left. A single transaction would exceed its time limit.

    Rows that expire after the start are left: on a busy service there would always be another one.
    """
    now, total = datetime.now(UTC), 0
    while deleted := await delete_some(now):
        total += deleted
    return total


async def _prune_idempotency_keys(database: Database) -> int:
    async def delete_some(now: datetime) -> int:
        async with database.transaction() as session:
            return await IdempotencyService(session, database.settings).prune(now)

    return await repeat(delete_some)


async def _prune_dead_jobs(database: Database) -> int:
    async with database.transaction() as session:
        return await JobService(session).prune_dead()


async def _prune_job_log(database: Database) -> int:
    async def delete_some(now: datetime) -> int:
        async with database.transaction() as session:
            return await JobService(session).prune_log(now)

    return await repeat(delete_some)


# Each function deletes expired rows and returns their number.
PRUNERS: Final[dict[str, Callable[[Database], Awaitable[int]]]] = {
    "idempotency keys": _prune_idempotency_keys,
    "dead jobs": _prune_dead_jobs,
    "log entries of jobs": _prune_job_log,
}


class PruneError(Exception):
    """Some rows could not be deleted. The message says which ones, and why."""


class Pruned(NamedTuple):
    """What was deleted, and what could not be and why, by kind."""

    deleted: dict[str, int]
    failures: dict[str, str]

    def require_success(self) -> None:
        """Raise `PruneError` if there are failures."""
        if self.failures:
            raise PruneError("; ".join(f"{kind}: {why}" for kind, why in self.failures.items()))


async def prune(database: Database) -> Pruned:
    """Delete expired rows. A kind that fails does not keep the others from being deleted."""
    pruned = Pruned({}, {})
    for kind, delete in PRUNERS.items():
        try:
            pruned.deleted[kind] = await delete(database)
        except Exception as error:  # noqa: BLE001 (whatever it is, the next kind is due as well)
            pruned.failures[kind] = explain(error)
    return pruned


async def _prune(_payload: Prune, context: JobContext) -> None:
    pruned = await prune(context.database)
    for kind, number in pruned.deleted.items():
        _logger.info("deleted %d expired %s", number, kind)
    pruned.require_success()


PRUNE: Final = JobKind(Prune, _prune, timeout=30 * 60, at_once=1)

PRUNE_NIGHTLY: Final = Schedule("17 3 * * *", Prune())
