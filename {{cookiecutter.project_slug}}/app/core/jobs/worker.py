"""The worker: runs queued jobs, and queues those of the schedules."""

import asyncio
import logging
import math
import time
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import Any, Final, Literal

from pgqueuer import Job, PgQueuer, RetryRequested
from pgqueuer.models import Schedule as DueSchedule

from app.core.config import ConfigurationError, Settings
from app.core.database import Database
from app.core.jobs.drivers import WorkerDriver
from app.core.jobs.kinds import FinalError, JobKind, PostponedError, Schedule, backoff
from app.core.jobs.origin import continuing
from app.core.jobs.queries import WorkerQueries
from app.core.jobs.queue import JobQueue
from app.exceptions import UnavailableError, explain

Outcome = Literal["done", "retried", "dead"]
Observe = Callable[[str, Outcome, float], None]

_logger: Final = logging.getLogger(__name__)

# Workers hear of new jobs at once. They also poll, because notifications can be lost with the
# connection.
_POLL: Final = timedelta(seconds=5)

# How often a worker tests that notifications arrive.
_PROBE: Final = timedelta(seconds=10)

# Seconds for recording the results of the last jobs, after WORKER_STOP_SECONDS.
_FAREWELL: Final = 2.0

# For the statements of the queue, so that handlers do not keep them waiting.
_CONNECTIONS: Final = 2

_LONGEST_PAUSE: Final = 30.0


class Worker:
    """Runs jobs until it is stopped, and waits for the database while that is unavailable.

    Its own connections go to PostgreSQL directly, because a pooler does not pass on notifications.
    Handlers use the pools of `database`. `observe` is called after each run of a job, with the kind,
    the outcome and the seconds. Raises `ConfigurationError` if only a pooler is configured, for a
    duplicate kind, and for a schedule with an invalid time or an unlisted kind.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        kinds: Sequence[JobKind[Any]],
        schedules: Sequence[Schedule],
        observe: Observe | None = None,
    ) -> None:
        self._settings = settings
        self._database = database
        self._kinds = kinds
        self._schedules = schedules
        self._observe = observe
        self._queue_settings = settings_of_queue(settings)
        self._stopping = asyncio.Event()
        self._last_at = math.inf  # when running jobs end, by the clock of the event loop
        self._queuer: PgQueuer | None = None
        self._queries: WorkerQueries | None = None
        self._deadlines: set[asyncio.Timeout] = set()
        self._require_valid()

    @property
    def is_working(self) -> bool:
        """Whether jobs are taken, or were taken until the worker was told to stop."""
        if self._queuer is None or self._queries is None:
            return False
        has_failed = self._queuer.shutdown.is_set() and not self._stopping.is_set()
        return self._queries.is_available and not has_failed

    @property
    def is_stopping(self) -> bool:
        """Whether the worker was told to stop."""
        return self._stopping.is_set()

    async def check(self) -> None:
        """Raise `ConfigurationError` if a pooler responds in place of PostgreSQL."""
        try:
            async with self._connected():
                pass
        except ConfigurationError:
            raise
        except Exception:  # noqa: BLE001 (`run` says so, and tries again)
            return

    async def run(self) -> None:
        """Run jobs until `stop` is called."""
        failures = 0
        while not self._stopping.is_set():
            try:
                async with self._connected() as driver:
                    failures = 0
                    await self._work(driver)
            except Exception as error:  # noqa: BLE001 (whatever it is, jobs are waiting)
                failures += 1
                pause = min(0.5 * 2 ** min(failures, 10), _LONGEST_PAUSE)
                _logger.warning("The worker pauses for %.0f s: %s", pause, explain(error))
                await self._pause(pause)

    def stop(self) -> None:
        """Take no more jobs. `run` returns when those that are running have ended.

        Running jobs have WORKER_STOP_SECONDS; those that need longer are queued again.
        """
        self._stopping.set()
        last = asyncio.get_running_loop().time() + self._settings.worker_stop_seconds
        self._last_at = last
        if self._queuer and self._queries:
            self._queuer.shutdown.set()
            self._queries.driver.end_at(self._last_at + _FAREWELL)
        for deadline in self._deadlines:
            if not deadline.expired():
                deadline.reschedule(min(last, deadline.when() or last))

    def _require_valid(self) -> None:
        """Raise `ConfigurationError` for kinds and schedules that PGQueuer would refuse later."""
        kinds = {kind.payload.job for kind in self._kinds}
        for schedule in self._schedules:
            if schedule.payload.job not in kinds:
                raise ConfigurationError(f"a schedule has the unlisted kind {schedule.payload.job}")
        try:
            self._register(PgQueuer.in_memory())
        except (RuntimeError, ValueError) as error:
            raise ConfigurationError(f"kinds of jobs: {error}") from error

    def _register(self, queuer: PgQueuer) -> None:
        for kind in self._kinds:
            queuer.entrypoint(
                kind.payload.job,
                concurrency_limit=kind.at_once,
                accepts_context=False,
                on_failure="hold",
            )(partial(self._handle, kind))
        for schedule in self._schedules:
            queuer.schedule(schedule.payload.job, schedule.cron, accepts_context=False)(
                partial(self._enqueue, schedule)
            )

    async def _work(self, driver: WorkerDriver) -> None:
        queries = WorkerQueries(driver, patience=self._settings.worker_lost_seconds)
        if not await queries.has_table(queries.qbe.settings.queue_table):
            raise ConfigurationError("the database has no job queue yet; run `app migrate`")
        queuer = PgQueuer(driver, queries=queries)
        self._register(queuer)
        concurrency = self._settings.worker_jobs
        if self._stopping.is_set():
            return
        self._queuer, self._queries = queuer, queries
        listening = asyncio.create_task(self._keep_listening(queuer, driver))
        try:
            await queuer.run(
                dequeue_timeout=_POLL,
                batch_size=concurrency // 2,  # PGQueuer wants room for two batches
                max_concurrent_tasks=concurrency,
                heartbeat_timeout=timedelta(seconds=self._settings.worker_lost_seconds),
                log_aggregation_interval=timedelta(0),  # the metrics have these numbers
            )
        finally:
            self._queuer = self._queries = None
            listening.cancel()
            await asyncio.wait({listening})

    async def _keep_listening(self, queuer: PgQueuer, driver: WorkerDriver) -> None:
        """Listen on a new connection when notifications no longer arrive.

        PGQueuer itself can only end the worker then, once the running jobs have ended.
        """
        while True:
            await asyncio.sleep(_PROBE.total_seconds())
            try:
                await queuer.qm.listener_healthy(_PROBE)
            except Exception:  # noqa: BLE001 (whatever it is, no notification has come back)
                try:
                    await driver.listen_again()
                except Exception as error:  # noqa: BLE001 (jobs are found by polling meanwhile)
                    _logger.warning("Notifications of jobs do not arrive: %s", explain(error))

    async def _handle(self, kind: JobKind[Any], job: Job) -> None:
        outcome: Outcome = "dead"
        began = time.perf_counter()
        try:
            with continuing(job):
                await self._run_job(kind, job)
            outcome = "done"
        except (RetryRequested, asyncio.CancelledError) as error:
            outcome = "retried"
            if self._queries and isinstance(error, PostponedError):
                self._queries.postponed.add(job.id)
            raise
        finally:
            if self._observe:
                self._observe(job.entrypoint, outcome, time.perf_counter() - began)

    async def _run_job(self, kind: JobKind[Any], job: Job) -> None:
        await self._require_few_losses(kind, job)
        with self._deadline(kind.timeout) as deadline:
            try:
                await kind.handle(job, self._database, self._settings, deadline)
            except Exception as error:
                if self._stopping.is_set() and deadline.expired():
                    raise PostponedError(reason="its worker had to stop") from error
                raise

    @contextmanager
    def _deadline(self, seconds: float) -> Generator[asyncio.Timeout]:
        """Yield a timeout that `stop` brings forward."""
        end = asyncio.get_running_loop().time() + seconds
        deadline = asyncio.timeout_at(min(end, self._last_at))
        self._deadlines.add(deadline)
        try:
            yield deadline
        finally:
            self._deadlines.discard(deadline)

    async def _require_few_losses(self, kind: JobKind[Any], job: Job) -> None:
        """Raise `FinalError` for a job that keeps killing its workers.

        PGQueuer does not count these attempts. Asks the database only about a job that starts late
        enough to have been taken over.
        """
        waited = (job.updated - job.execute_after).total_seconds()
        if self._queries is None or waited < self._settings.worker_lost_seconds:
            return
        try:
            runs = await self._queries.count_runs(job.id)
        except UnavailableError as error:
            raise PostponedError(backoff(1), "the database was not available") from error
        if job.attempts + runs > kind.attempts:
            raise FinalError(f"{runs - 1} workers were lost, or did not respond, while they ran it")

    async def _enqueue(self, schedule: Schedule, due: DueSchedule) -> None:
        """Queue the job of a schedule, however long it takes: the next time may be tomorrow."""
        while not self._stopping.is_set():
            try:
                async with self._database.transaction() as session:
                    await JobQueue(session).enqueue(schedule.payload)
            except Exception as error:  # noqa: BLE001 (whatever it is, the job is due)
                kind = schedule.payload.job
                _logger.warning("%s is due, and cannot be queued: %s", kind, explain(error))
                await self._pause(_POLL.total_seconds())
            else:
                return
        if self._queries:
            self._queries.missed.add(due.id)

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator[WorkerDriver]:
        database = Database(self._queue_settings)
        try:
            async with WorkerDriver.connect(database) as driver:
                driver.end_at(self._last_at + _FAREWELL)
                yield driver
        finally:
            await database.dispose()

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


def settings_of_queue(settings: Settings) -> Settings:
    """Return the settings of the queue's own connections.

    Raises `ConfigurationError` if only a pooler is configured.
    """
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


@asynccontextmanager
async def working(worker: Worker) -> AsyncGenerator[None]:
    """Run a worker during a block. At its end the worker finishes the jobs that are running."""
    task = asyncio.create_task(_keep_running(worker))
    try:
        yield
    finally:
        worker.stop()
        await task


async def _keep_running(worker: Worker) -> None:
    """Restart a worker whose task ends by something other than an `Exception`: a cancellation."""
    while not worker.is_stopping:
        task = asyncio.create_task(worker.run())
        await asyncio.wait({task})
        if not worker.is_stopping:
            error = None if task.cancelled() else task.exception()
            _logger.error("The worker was cancelled, and starts again", exc_info=error)
            await asyncio.sleep(1)
