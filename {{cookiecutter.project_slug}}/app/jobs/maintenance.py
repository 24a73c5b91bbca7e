"""Deleting expired rows: every night, and by `app prune`."""

from collections.abc import Awaitable, Callable
from typing import Final

from app.core.database import Database
from app.core.jobs.kinds import Schedule
from app.services.idempotency_service import IdempotencyService
from app.services.job_service import JobService


async def _prune_idempotency_keys(database: Database) -> int:
    async with database.transaction() as session:
        return await IdempotencyService(session, database.settings).prune()


async def _prune_job_log(database: Database) -> int:
    async with database.transaction() as session:
        return await JobService(session).prune()


# Each function deletes expired rows and returns their number.
PRUNERS: Final[dict[str, Callable[[Database], Awaitable[int]]]] = {
    "idempotency keys": _prune_idempotency_keys,
    "log entries of jobs": _prune_job_log,
}


async def prune(database: Database) -> dict[str, int]:
    """Delete expired rows, and return the number of each kind."""
    return {kind: await delete(database) for kind, delete in PRUNERS.items()}


PRUNE: Final = Schedule("prune", "17 3 * * *", prune)
