"""The worker: runs queued jobs, and those of the schedule."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import Any, Final

from pgqueuer import PgQueuer
from pgqueuer.errors import FailingListenerError
from pgqueuer.models import Job
from pgqueuer.models import Schedule as DueSchedule

from app.core.config import ConfigurationError, Settings
from app.core.database import Database
from app.core.jobs.drivers import WorkerDriver
from app.core.jobs.kinds import JobKind, Schedule

_logger: Final = logging.getLogger(__name__)

# Workers hear of new jobs at once. They also look now and then, for notifications can be lost with the
# connection.
_POLL: Final = timedelta(seconds=5)

# For the statements of the queue, so that handlers do not keep them waiting.
_CONNECTIONS: Final = 2

_LONGEST_PAUSE: Final = 30.0


class Worker:
    """Runs jobs until it is stopped, and reconnects when the connection is lost.

    Its own connection listens for new jobs, so it leads to PostgreSQL directly, not through a
    pooler. Handlers use the pools of `database`. Raises `ConfigurationError` if it knows of none.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        kinds: Sequence[JobKind[Any]],
        schedules: Sequence[Schedule],
    ) -> None:
        if settings.database_pooler and settings.database_direct_url is None:
            raise ConfigurationError(
                "Behind a pooler the worker needs DATABASE_DIRECT_URL, PostgreSQL itself: a pooler "
                "in transaction mode does not pass on notifications"
            )
        self.is_working = False
        self._settings = settings
        self._database = database
        self._kinds = kinds
        self._schedules = schedules
        self._stopping = asyncio.Event()
        self._running: PgQueuer | None = None

    async def run(self) -> None:
        """Run jobs until `stop` is called."""
        failures = 0
        while not self._stopping.is_set():
            try:
                async with self._connected() as queuer:
                    failures = 0
                    await self._work(queuer)
            except Exception as error:  # noqa: BLE001 (whatever it is, jobs are waiting)
                failures += 1
                pause = min(0.5 * 2**failures, _LONGEST_PAUSE)
                _logger.warning("No jobs run for %.0f s: %s", pause, _describe(error))
                await self._pause(pause)

    def stop(self) -> None:
        """Take no more jobs. `run` returns when those that are running have ended."""
        self._stopping.set()
        if self._running:
            self._running.shutdown.set()

    async def _work(self, queuer: PgQueuer) -> None:
        self._running = queuer
        for kind in self._kinds:
            queuer.entrypoint(
                kind.payload.job,
                concurrency_limit=kind.at_once,
                accepts_context=False,
                on_failure="hold",
            )(partial(self._handle, kind))
        for schedule in self._schedules:
            queuer.schedule(schedule.name, schedule.cron, accepts_context=False)(
                partial(self._run_schedule, schedule)
            )
        self.is_working = True
        try:
            if not self._stopping.is_set():
                await queuer.run(
                    dequeue_timeout=_POLL,
                    batch_size=self._settings.worker_jobs,
                    max_concurrent_tasks=2 * self._settings.worker_jobs,
                    heartbeat_timeout=timedelta(seconds=self._settings.worker_lost_seconds),
                    shutdown_on_listener_failure=True,
                )
        finally:
            self.is_working = False
            self._running = None

    async def _handle(self, kind: JobKind[Any], job: Job) -> None:
        await kind.handle(job, self._database, self._settings)

    async def _run_schedule(self, schedule: Schedule, _due: DueSchedule) -> None:
        _logger.info("%s: %s", schedule.name, await schedule.run(self._database))

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator[PgQueuer]:
        settings = self._settings
        direct = {
            "database_url": settings.database_direct_url or settings.database_url,
            "database_pooler": False,
            "database_pool_size": _CONNECTIONS,
        }
        queue = Database(settings.model_copy(update=direct))
        try:
            async with WorkerDriver.connect(queue) as driver:
                yield PgQueuer(driver)
        finally:
            await queue.dispose()

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


def _describe(error: Exception) -> str:
    if isinstance(error, FailingListenerError):
        return "notifications do not arrive; is DATABASE_DIRECT_URL a pooler?"
    return f"{type(error).__name__}: {error}"


@asynccontextmanager
async def working(worker: Worker) -> AsyncGenerator[None]:
    """Run a worker during a block. At its end the worker finishes the jobs that are running."""
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        worker.stop()
        await task
