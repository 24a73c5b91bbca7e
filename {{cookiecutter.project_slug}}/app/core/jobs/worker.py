"""The worker: runs queued jobs, and queues those of the schedules."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import Any, Final, Literal

from pgqueuer import Job, PgQueuer, RetryRequested
from pgqueuer.errors import FailingListenerError
from pgqueuer.models import Schedule as DueSchedule

from app.core.config import ConfigurationError, Settings
from app.core.database import Database
from app.core.jobs.drivers import POOLER_RESPONDS, WorkerDriver
from app.core.jobs.kinds import FinalError, JobKind, Schedule, backoff
from app.core.jobs.origin import continuing
from app.core.jobs.queries import WorkerQueries
from app.core.jobs.queue import JobQueue
from app.exceptions import UnavailableError, explain

Outcome = Literal["done", "retried", "dead"]
Observe = Callable[[str, Outcome, float], None]

_logger: Final = logging.getLogger(__name__)

# Workers hear of new jobs at once. They also look now and then, for notifications can be lost with the
# connection.
_POLL: Final = timedelta(seconds=5)

# For the statements of the queue, so that handlers do not keep them waiting.
_CONNECTIONS: Final = 2

_LONGEST_PAUSE: Final = 30.0


class Worker:
    """Runs jobs until it is stopped, and reconnects when the connection is lost.

    Its own connections lead to PostgreSQL directly, because a pooler passes on no notifications.
    Handlers use the pools of `database`. `observe` is called after each run of a job, with the kind,
    the outcome and the seconds. Raises `ConfigurationError` if only a pooler is configured.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        kinds: Sequence[JobKind[Any]],
        schedules: Sequence[Schedule],
        observe: Observe | None = None,
    ) -> None:
        self.is_working = False
        self._settings = settings
        self._database = database
        self._kinds = kinds
        self._schedules = schedules
        self._observe = observe
        self._queue_settings = _settings_of_queue(settings)
        self._stopping = asyncio.Event()
        self._running: PgQueuer | None = None
        self._deadlines: set[asyncio.Timeout] = set()

    async def run(self) -> None:
        """Run jobs until `stop` is called."""
        failures = 0
        while not self._stopping.is_set():
            try:
                async with self._connected() as (queuer, queries):
                    failures = 0
                    await self._work(queuer, queries)
            except Exception as error:  # noqa: BLE001 (whatever it is, jobs are waiting)
                failures += 1
                pause = min(0.5 * 2**failures, _LONGEST_PAUSE)
                _logger.warning("No jobs run for %.0f s: %s", pause, _describe(error))
                await self._pause(pause)

    def stop(self) -> None:
        """Take no more jobs. `run` returns when those that are running have ended.

        They have WORKER_STOP_SECONDS. Those that need longer are queued again.
        """
        self._stopping.set()
        if self._running:
            self._running.shutdown.set()
        last = asyncio.get_running_loop().time() + self._settings.worker_stop_seconds
        for deadline in self._deadlines:
            if not deadline.expired():
                deadline.reschedule(min(last, deadline.when() or last))

    async def _work(self, queuer: PgQueuer, queries: WorkerQueries) -> None:
        if not await queries.has_table(queries.qbe.settings.queue_table):
            raise ConfigurationError("the database has no job queue yet; run `app migrate`")
        self._running = queuer
        for kind in self._kinds:
            queuer.entrypoint(
                kind.payload.job,
                concurrency_limit=kind.at_once,
                accepts_context=False,
                on_failure="hold",
            )(partial(self._handle, queries, kind))
        for schedule in self._schedules:
            queuer.schedule(schedule.payload.job, schedule.cron, accepts_context=False)(
                partial(self._enqueue, schedule)
            )
        at_once = self._settings.worker_jobs
        self.is_working = True
        try:
            if not self._stopping.is_set():
                await queuer.run(
                    dequeue_timeout=_POLL,
                    batch_size=at_once // 2,  # PGQueuer wants room for two batches
                    max_concurrent_tasks=at_once,
                    heartbeat_timeout=timedelta(seconds=self._settings.worker_lost_seconds),
                    shutdown_on_listener_failure=True,
                    log_aggregation_interval=timedelta(0),  # the metrics have these numbers
                )
        finally:
            self.is_working = False
            self._running = None

    async def _handle(self, queries: WorkerQueries, kind: JobKind[Any], job: Job) -> None:
        outcome: Outcome = "dead"
        began = time.perf_counter()
        try:
            with continuing(job):
                await self._require_few_losses(queries, kind, job)
                with self._deadline(kind.timeout) as deadline:
                    await kind.handle(job, self._database, self._settings, deadline)
            outcome = "done"
        except RetryRequested:
            outcome = "retried"
            raise
        except Exception as error:
            if self._stopping.is_set() and isinstance(error, TimeoutError):
                outcome = "retried"
                raise RetryRequested(reason="its worker had to stop") from error
            raise
        finally:
            if self._observe:
                self._observe(job.entrypoint, outcome, time.perf_counter() - began)

    @contextmanager
    def _deadline(self, seconds: float) -> Generator[asyncio.Timeout]:
        """Yield a timeout that `stop` brings forward."""
        if self._stopping.is_set():
            seconds = min(seconds, self._settings.worker_stop_seconds)
        deadline = asyncio.timeout(seconds)
        self._deadlines.add(deadline)
        try:
            yield deadline
        finally:
            self._deadlines.discard(deadline)

    async def _require_few_losses(
        self, queries: WorkerQueries, kind: JobKind[Any], job: Job
    ) -> None:
        """Raise `FinalError` for a job that its workers do not survive.

        PGQueuer does not count these attempts. Asks the database only about a job that begins so late
        that it may have been taken over.
        """
        if (job.updated - job.execute_after).total_seconds() < self._settings.worker_lost_seconds:
            return
        try:
            runs = await queries.count_runs(job.id)
        except UnavailableError as error:
            raise RetryRequested(backoff(1), "the database was not available") from error
        if job.attempts + runs > kind.attempts:
            raise FinalError(f"{runs - 1} workers were lost while they ran it")

    async def _enqueue(self, schedule: Schedule, _due: DueSchedule) -> None:
        async with self._database.transaction() as session:
            await JobQueue(session).enqueue(schedule.payload)

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator[tuple[PgQueuer, WorkerQueries]]:
        database = Database(self._queue_settings)
        try:
            async with WorkerDriver.connect(database) as driver:
                queries = WorkerQueries(driver, patience=self._settings.worker_lost_seconds)
                yield PgQueuer(driver, queries=queries), queries
        finally:
            await database.dispose()

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


def _settings_of_queue(settings: Settings) -> Settings:
    """Return the settings of the queue's own connections."""
    if settings.database_pooler and settings.worker_database_url is None:
        raise ConfigurationError(
            "WORKER_DATABASE_URL: not set. Behind a pooler the worker needs PostgreSQL itself, because a "
            "pooler in transaction mode passes on no notifications"
        )
    return settings.model_copy(
        update={
            "database_url": settings.worker_database_url or settings.database_url,
            "database_pooler": False,
            "database_pool_size": _CONNECTIONS,
        }
    )


def _describe(error: Exception) -> str:
    if isinstance(error, FailingListenerError):
        return "notifications do not arrive"
    text = explain(error)
    # What PgBouncer says to the time limits, which a connection to PostgreSQL begins with.
    return POOLER_RESPONDS if "unsupported startup parameter" in text else text


@asynccontextmanager
async def working(worker: Worker) -> AsyncGenerator[None]:
    """Run a worker during a block. At its end the worker finishes the jobs that are running."""
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        worker.stop()
        await task
