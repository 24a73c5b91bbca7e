"""Running queued jobs in a test."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

from pgqueuer.errors import RetryRequested
from pgqueuer.ports.repository import EntrypointExecutionParameter
from pgqueuer.queries import Queries
from pgqueuer.types import QueueEntrypoint, QueueManagerId
from sqlalchemy import text

from app.core.config import Settings
from app.core.database import Database
from app.core.jobs.drivers import SessionDriver
from app.core.jobs.kinds import JobKind

# A job is due when its time is before now(), which stands still in the transaction of a test.
_MAKE_DUE: Final = text(
    "UPDATE pgqueuer SET execute_after = now() - interval '1 s' WHERE execute_after <= now()"
)


class InlineJobs:
    """Runs the jobs that are queued and due, one after the other."""

    def __init__(
        self, database: Database, settings: Settings, kinds: Sequence[JobKind[Any]]
    ) -> None:
        self._database = database
        self._settings = settings
        self._kinds = {QueueEntrypoint(kind.payload.job): kind for kind in kinds}
        self._worker = QueueManagerId(uuid4())

    async def run_all(self) -> int:
        """Run the jobs, and those that they queue, and return their number.

        The error of a job fails the test, as one that a handler of the app raises does.
        """
        number = 0
        while await self._run_one():
            number += 1
        return number

    async def _run_one(self) -> bool:
        async with self._database.transaction() as session:
            await session.execute(_MAKE_DUE)
            jobs = await Queries(SessionDriver(session)).dequeue(
                1,
                {name: EntrypointExecutionParameter(0) for name in self._kinds},
                self._worker,
                None,
                timedelta(hours=1),
            )
        for job in jobs:
            try:
                await self._kinds[job.entrypoint].handle(job, self._database, self._settings)
            except RetryRequested as retry:
                raise retry.__cause__ or retry from None
            async with self._database.transaction() as session:
                await Queries(SessionDriver(session)).log_jobs([(job, "successful", None)])
        return bool(jobs)
