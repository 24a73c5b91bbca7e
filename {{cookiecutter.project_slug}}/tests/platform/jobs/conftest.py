"""Workers for tests."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest

from app.core.config import Settings
from app.core.database import Database
from app.core.jobs import worker
from app.core.jobs.kinds import JobContext, JobKind, Schedule
from app.core.jobs.worker import Worker, working
from tests.platform.jobs.tasks import Runs, Start, Task


@pytest.fixture
def runs() -> Runs:
    return Runs()


@pytest.fixture
async def start(
    runs: Runs, settings: Settings, live_database: Database, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Start]:
    """Start a worker for `Task`, which stops after the test."""
    monkeypatch.setattr(worker, "_POLL", timedelta(seconds=0.2))
    async with AsyncExitStack() as stack:

        async def start_worker(
            *,
            lost: float = 30,
            stop: float = 20,
            schedules: Sequence[Schedule] = (),
            more: Sequence[JobKind[Any]] = (),
            run: Callable[[Task, JobContext], Awaitable[None]] = runs.run,
            **options: Any,
        ) -> Worker:
            kind = JobKind(Task, run, **options)
            update = {"worker_lost_seconds": lost, "worker_stop_seconds": stop}
            changed = settings.model_copy(update=update)
            started = Worker(changed, live_database, [kind, *more], schedules, runs.observe)
            await stack.enter_async_context(working(started))
            return started

        yield start_worker
        runs.gate.set()
