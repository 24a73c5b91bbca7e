"""Running jobs in a process: that of `app worker`, or the service itself."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from app.core.database import Database
from app.core.jobs.worker import Worker, working
from app.exceptions import explain
from app.services.job_service import JobService

if TYPE_CHECKING:  # they import prometheus-client
    from app.core.observability.metrics.jobs import JobMetrics
    from app.core.observability.metrics.observer import Metrics

_logger: Final = logging.getLogger(__name__)

# How often the jobs are counted for the metrics.
_COUNT_SECONDS: Final = 10


def make_job_metrics(metrics: "Metrics | None") -> "JobMetrics | None":
    """Return metrics of jobs, or None if metrics are off. Call it once for a process."""
    if metrics is None:
        return None
    # Imported here, because it imports prometheus-client.
    from app.core.observability.metrics.jobs import JobMetrics

    return JobMetrics(metrics.registry)


@asynccontextmanager
async def running_jobs(
    worker: Worker, database: Database, metrics: "JobMetrics | None"
) -> AsyncGenerator[None]:
    """Run a worker during a block, and export its metrics."""
    async with working(worker):
        counting = asyncio.create_task(_count(worker, database, metrics)) if metrics else None
        try:
            yield
        finally:
            if counting:
                counting.cancel()


async def _count(worker: Worker, database: Database, metrics: "JobMetrics") -> None:
    while True:
        metrics.show_worker(is_working=worker.is_working)
        try:
            async with database.read(newest=True) as session:
                jobs = await JobService(session).count()
            metrics.show((row.kind, row.state, row.number, row.seconds) for row in jobs)
        except Exception as error:  # noqa: BLE001 (whatever it is, the next count may succeed)
            _logger.warning("The jobs cannot be counted: %s", explain(error))
        await asyncio.sleep(_COUNT_SECONDS)
