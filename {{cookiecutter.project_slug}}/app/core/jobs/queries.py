"""PGQueuer's statements, as a worker runs them."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Final, TypeVar

from pgqueuer import Job, JobId, Queries
from pgqueuer.models import JOB_STATUS, CronExpressionEntrypoint, Schedule, TracebackRecord
from pgqueuer.queries import EntrypointExecutionParameter
from pgqueuer.types import QueueEntrypoint, QueueManagerId, ScheduleId
from sqlalchemy.exc import IntegrityError

from app.core.jobs.drivers import WorkerDriver
from app.core.jobs.statements import (
    COUNT_RUNNING_SCHEDULES,
    COUNT_RUNS,
    POSTPONE,
    RELEASE,
    SCHEDULE_AGAIN,
)
from app.exceptions import UnavailableError, explain

ResultT = TypeVar("ResultT")

_logger: Final = logging.getLogger(__name__)

_PAUSE: Final = 0.5


@dataclass
class WorkerQueries(Queries):
    """PGQueuer's queries, for a database that may be unavailable for a while.

    PGQueuer itself ends a worker that cannot read its next jobs, once the running ones have ended. It
    makes a job dead if the next attempt cannot be recorded, and drops results that are not yet
    recorded when a worker stops. Here, a worker that cannot read jobs finds none until the database is
    back, and `is_available` is false meanwhile. The result of a job is recorded within `patience`
    seconds. Otherwise a worker, perhaps the same one, takes the job over.
    """

    driver: WorkerDriver
    patience: float = 0
    is_available: bool = False
    # Jobs whose next run does not count as an attempt, and schedules whose job is still to be
    # queued.
    postponed: set[JobId] = field(default_factory=set)
    missed: set[ScheduleId] = field(default_factory=set)
    _has_schedules: asyncio.Event = field(default_factory=asyncio.Event)
    _running: set[JobId] = field(default_factory=set)
    _next_release: float = 0

    @property
    def is_stopping(self) -> bool:
        """Whether the worker was told to stop."""
        return self.driver.ends_at < math.inf

    async def dequeue(
        self,
        batch_size: int,
        entrypoints: dict[QueueEntrypoint, EntrypointExecutionParameter],
        queue_manager_id: QueueManagerId,
        global_concurrency_limit: int | None,
        heartbeat_timeout: timedelta,
    ) -> list[Job]:
        """Take jobs; none if the database is unavailable, or another worker just took the last slot.

        Waits until the schedules are recorded, which PGQueuer does at the same time. If that failed,
        the worker would end once the running jobs have ended.
        """
        await self._has_schedules.wait()
        if self.is_stopping:
            return []
        try:
            await self._release_lost(queue_manager_id, heartbeat_timeout)
            jobs = await super().dequeue(
                batch_size,
                entrypoints,
                queue_manager_id,
                global_concurrency_limit,
                heartbeat_timeout,
            )
        except Exception as error:
            if not self._lost_race(error):
                if self.is_available:
                    _logger.warning("No jobs are taken: %s", explain(error))
                self.is_available = False
                if isinstance(error, UnavailableError):
                    return []
                raise
            jobs = []
        self.is_available = True
        self._running.update(job.id for job in jobs)
        return jobs

    async def _release_lost(self, worker: QueueManagerId, heartbeat_timeout: timedelta) -> None:
        """Let lost jobs of this worker be taken over, and leave their places to others."""
        now = asyncio.get_running_loop().time()
        if now >= self._next_release:
            await self.driver.execute(RELEASE, worker, heartbeat_timeout, list(self._running))
            self._next_release = now + heartbeat_timeout.total_seconds()

    def _lost_race(self, error: Exception) -> bool:
        """Return whether another worker has taken slots of the same kinds at the same time.

        PGQueuer looks for that in the errors of its own drivers.
        """
        if isinstance(error, IntegrityError):
            return f"{self.qbe.settings.queue_table}_picked_slot_idx" in str(error.orig)
        return isinstance(error, UnavailableError) and error.kind == "deadlock"

    async def eligible_queued_work(self, entrypoints: list[QueueEntrypoint]) -> int:
        """Return the number of jobs that are due, or 0 if the database is unavailable."""
        return await self._ask(partial(super().eligible_queued_work, entrypoints), 0)

    async def queued_work(self, entrypoints: list[QueueEntrypoint]) -> int:
        """Return the number of jobs, or 0 if the database is unavailable."""
        return await self._ask(partial(super().queued_work, entrypoints), 0)

    async def next_deferred_eta(self, entrypoints: list[QueueEntrypoint]) -> timedelta | None:
        """Return the time until the next job is due, or None if the database is unavailable."""
        return await self._ask(partial(super().next_deferred_eta, entrypoints), None)

    async def _ask(self, ask: Callable[[], Awaitable[ResultT]], otherwise: ResultT) -> ResultT:
        if self.is_available:
            with suppress(UnavailableError):
                return await ask()
        return otherwise

    async def log_jobs(
        self, job_status: list[tuple[Job, JOB_STATUS, TracebackRecord | None]]
    ) -> None:
        """Record that jobs are done or dead. Raises `UnavailableError`.

        Those whose task was cancelled are left to be taken over. PGQueuer would delete them.
        """
        self._running.difference_update(job.id for job, *_ in job_status)
        ended: list[tuple[Job, JOB_STATUS, TracebackRecord | None]] = [
            (job, status, _storable(error))
            for job, status, error in job_status
            if status != "canceled"
        ]
        if ended:
            await self._persist(partial(super().log_jobs, ended))

    async def retry_job(
        self, job: Job, delay: timedelta, traceback_record: TracebackRecord | None
    ) -> None:
        """Queue a job again. This is an attempt, unless the job is one of `postponed`."""
        queue_again: Callable[[], Awaitable[object]]
        if job.id in self.postponed:
            queue_again = partial(self.driver.execute, POSTPONE, job.id, delay)
        else:
            queue_again = partial(super().retry_job, job, delay, _storable(traceback_record))
        with suppress(UnavailableError):  # it is taken over
            await self._persist(queue_again)
        self.postponed.discard(job.id)
        self._running.discard(job.id)

    async def insert_schedule(self, schedules: dict[CronExpressionEntrypoint, timedelta]) -> None:
        """Record the schedules, and let jobs be taken from now on. Raises `UnavailableError`."""
        await super().insert_schedule(schedules)
        self._has_schedules.set()

    async def fetch_schedule(
        self, entrypoints: dict[CronExpressionEntrypoint, timedelta]
    ) -> list[Schedule]:
        """Take the schedules that are due, once the database is available.

        While another worker queues the job of a schedule, this waits, in case that worker is lost before
        it has done so: PGQueuer asks only when a schedule is due, which may be once a day. The other
        worker may also be this one, which never got the response to its query. Returns none if the
        worker has to stop first.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        take = super().fetch_schedule

        async def fetch() -> list[Schedule]:
            late = timedelta(seconds=loop.time() - began)
            next_runs = {name: delay - late for name, delay in entrypoints.items()}
            return await take(next_runs)

        async def count_running() -> int:
            expressions = [name.expression for name in entrypoints]
            names = [name.entrypoint for name in entrypoints]
            (row,) = await self.driver.fetch(COUNT_RUNNING_SCHEDULES, expressions, names)
            return int(str(row["running"]))

        try:
            while True:
                found = await self._persist(fetch, math.inf)
                if found or self.is_stopping or not await self._persist(count_running, math.inf):
                    return found
                await asyncio.sleep(_PAUSE)
        except UnavailableError:
            return []

    async def set_schedule_queued(self, ids: set[ScheduleId]) -> None:
        """Record that the job of schedules is queued. Those of `missed` are due again."""
        if missed := ids & self.missed:
            await self.driver.execute(SCHEDULE_AGAIN, list(missed))
        if done := ids - missed:
            await super().set_schedule_queued(done)

    async def count_runs(self, job_id: JobId) -> int:
        """Return how often a job was taken since it was last queued. Runs one statement."""
        (row,) = await self.driver.fetch(COUNT_RUNS, job_id)
        return int(str(row["runs"]))

    async def _persist(
        self, statement: Callable[[], Awaitable[ResultT]], patience: float | None = None
    ) -> ResultT:
        """Repeat a statement until the database has responded.

        It may have taken effect before: then a job counts one attempt too many, or runs twice.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + (self.patience if patience is None else patience)
        while True:
            try:
                return await statement()
            except UnavailableError:
                if loop.time() > min(end, self.driver.ends_at):
                    raise
            await asyncio.sleep(_PAUSE)


def _storable(error: TracebackRecord | None) -> TracebackRecord | None:
    """Replace characters that `jsonb` refuses: one of them would keep the whole batch from being recorded."""
    if error is None:
        return None

    def clean(value: object) -> object:
        if not isinstance(value, str):
            return value
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()

    context = error.additional_context or {}
    return error.model_copy(
        update={
            "exception_message": clean(error.exception_message),
            "traceback": clean(error.traceback),
            "additional_context": {name: clean(value) for name, value in context.items()},
        }
    )
