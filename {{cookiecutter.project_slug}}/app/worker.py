"""The process of a worker: `app worker`. It serves its health, so that orchestrators can watch it."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, status
from fastapi.responses import JSONResponse

from app.core.config import Settings, load_settings
from app.core.database import Database
from app.core.jobs.kinds import JobKind, Schedule
from app.core.jobs.worker import Worker, working
from app.jobs import KINDS, SCHEDULES


def create_worker(
    settings: Settings | None = None,
    kinds: Sequence[JobKind[Any]] = KINDS,
    schedules: Sequence[Schedule] = SCHEDULES,
) -> FastAPI:
    """Return the application of a worker process, which runs jobs during its lifespan.

    Raises `ConfigurationError` as `create_app` does, and if jobs cannot be listened for.
    """
    settings = settings or load_settings(Settings)
    database = Database(settings)
    worker = Worker(settings, database, kinds, schedules)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        async with working(worker):
            yield
        await database.dispose()

    app = FastAPI(lifespan=lifespan, openapi_url=None)

    @app.get("/health/live")
    async def live() -> dict[str, str]:
        """Report that the process responds."""
        return {"status": "ok"}

    @app.get("/health/ready")
    async def ready() -> JSONResponse:
        """Report that jobs are run, which needs the database."""
        if worker.is_working:
            return JSONResponse({"status": "ok"})
        return JSONResponse({"status": "not working"}, status.HTTP_503_SERVICE_UNAVAILABLE)

    return app
