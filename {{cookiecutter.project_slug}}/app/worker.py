"""The process of a worker: `app worker`. It serves its health, so that orchestrators can watch it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Literal

from fastapi import FastAPI, Response, status
from pydantic import BaseModel

from app.core.config import Settings, load_settings
from app.core.database import Database
from app.core.jobs.worker import Worker, working
from app.jobs import KINDS, SCHEDULES


class Health(BaseModel):
    status: Literal["ok", "not working"]


def create_worker(settings: Settings | None = None) -> FastAPI:
    """Return the application of a worker process, which runs jobs during its lifespan.

    Raises `ConfigurationError` as `create_app` does, and if jobs cannot be listened for.
    """
    settings = settings or load_settings(Settings)
    database = Database(settings)
    worker = Worker(settings, database, KINDS, SCHEDULES)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        async with working(worker):
            yield
        await database.dispose()

    app = FastAPI(lifespan=lifespan, openapi_url=None)

    @app.get("/health/live")
    async def live() -> Health:
        """Report that the process responds."""
        return Health(status="ok")

    @app.get("/health/ready")
    async def ready(response: Response) -> Health:
        """Report that jobs are run, which needs the database."""
        if worker.is_working:
            return Health(status="ok")
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
        return Health(status="not working")

    return app
