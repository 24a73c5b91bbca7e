"""The process of a worker: `app worker`. It serves its health and its metrics."""

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from fastapi import FastAPI, status
from fastapi.responses import JSONResponse

from app.core.config import Settings, load_settings
from app.core.database import Database
from app.core.jobs.kinds import JobKind, Schedule
from app.core.jobs.worker import Worker
from app.core.observability.install import Observability
from app.core.observability.metrics.endpoint import install_metrics_endpoint
from app.core.observability.telemetry import OFF
from app.jobs import SCHEDULES, make_kinds
from app.jobs.running import make_job_metrics, running_jobs


def create_worker(
    settings: Settings | None = None,
    kinds: Sequence[JobKind[Any]] | None = None,
    schedules: Sequence[Schedule] = SCHEDULES,
) -> FastAPI:
    """Return the application of a worker process, which runs jobs during its lifespan.

    Raises `ConfigurationError` as `create_app` does, and if only a pooler is configured.
    """
    settings = settings or load_settings(Settings)
    logging.getLogger("app").setLevel(settings.log_level)
    database = Database(settings)
    observability = Observability(settings)
    metrics = observability.metrics
    job_metrics = make_job_metrics(metrics)
    worker = Worker(
        settings,
        database,
        make_kinds(settings) if kinds is None else kinds,
        schedules,
        job_metrics.observe if job_metrics else None,
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(database.dispose)
            await stack.enter_async_context(observability.running(database))
            await stack.enter_async_context(running_jobs(worker, database, job_metrics))
            yield

    app = FastAPI(lifespan=lifespan, openapi_url=None, telemetry=OFF)
    app.state.worker = worker
    _install_health(app, worker)
    if metrics and not settings.metrics_port:
        install_metrics_endpoint(app, metrics)
    return app


def _install_health(app: FastAPI, worker: Worker) -> None:
    @app.get("/health/live")
    async def live() -> dict[str, str]:
        """Report that the process responds."""
        return {"status": "ok"}

    @app.get("/health/ready")
    async def ready() -> JSONResponse:
        """Report that jobs are run, which requires the database."""
        if worker.is_working:
            return JSONResponse({"status": "ok"})
        return JSONResponse({"status": "not working"}, status.HTTP_503_SERVICE_UNAVAILABLE)
