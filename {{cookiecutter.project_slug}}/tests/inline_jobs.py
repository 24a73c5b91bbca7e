"""Running queued jobs in a test."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

from fastapi import FastAPI
from pgqueuer import Job, Queries, RetryRequested
from pgqueuer.queries import EntrypointExecutionParameter
from pgqueuer.types import QueueEntrypoint, QueueManagerId
from sqlalchemy import text

from app.core.config import Settings
from app.core.database import Database
from app.core.jobs.drivers import SessionDriver
from app.core.jobs.kinds import JobKind
from app.core.jobs.origin import continuing

_ANY: Final = text("SELECT true FROM pgqueuer WHERE entrypoint = ANY(:kinds) LIMIT 1")
# A job is due when its time is before now(), which stands still in the transaction of a test.
_MAKE_DUE: Final = text(
    "UPDATE pgqueuer SET execute_after = now() - interval '1 s' WHERE execute_after <= now()"
)

# Kinds that a fixture has run after each response, because its tests are about their effects.
AFTER_RESPONSES: Final[list[JobKind[Any]]] = []


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

        The error of a job fails the test.
        """
        number = 0
        while await self._run_one():
            number += 1
        return number

    async def _run_one(self) -> bool:
        async with self._database.transaction() as session:
            if not await session.scalar(_ANY, {"kinds": list(self._kinds)}):
                return False
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
                await asyncio.create_task(self._handle(job))  # as in a worker, with its own context
            except RetryRequested as retry:
                raise retry.__cause__ or retry from None
            async with self._database.transaction() as session:
                await Queries(SessionDriver(session)).log_jobs([(job, "successful", None)])
        return bool(jobs)

    async def _handle(self, job: Job) -> None:
        with continuing(job):
            kind = self._kinds[job.entrypoint]
            deadline = asyncio.timeout(kind.timeout)
            await kind.handle(job, self._database, self._settings, deadline)


async def run_after_response(app: FastAPI) -> None:
    """Run the jobs of `AFTER_RESPONSES` that a request has queued."""
    if AFTER_RESPONSES:
        await InlineJobs(app.state.database, app.state.settings, AFTER_RESPONSES).run_all()
