"""What PostgreSQL has done for a worker that did not hear of it: it is done all the same."""

import asyncio

import pytest
from sqlalchemy import text

from app.core.config import Settings
from app.core.database import Database
from app.core.jobs.drivers import WorkerDriver
from app.core.jobs.kinds import JobKind, Schedule
from app.core.jobs.worker import Worker, working
from app.exceptions import UnavailableError
from tests.platform.jobs.tasks import Runs, Start, Task, enqueue, make_due, states, wait_until


async def test_jobs_that_the_worker_never_heard_of_run_later(
    start: Start,
    runs: Runs,
    settings: Settings,
    live_database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They were taken, but the response was lost. They fill the worker."""
    fetch = WorkerDriver.fetch
    taken = 0

    async def lose(driver: WorkerDriver, query: str, *args: object) -> list[dict[str, object]]:
        nonlocal taken
        rows = await fetch(driver, query, *args)
        if "worker_load" in query and rows and taken < settings.worker_jobs:
            taken += len(rows)
            raise UnavailableError("The response was lost", kind="unreachable")
        return rows

    monkeypatch.setattr(WorkerDriver, "fetch", lose)
    names = [f"job {number}" for number in range(settings.worker_jobs + 1)]
    await enqueue(live_database, *names)
    await start(lost=1)

    async def all_of_them() -> bool:
        return sorted(runs.names) == sorted(names)

    await wait_until(all_of_them)


async def test_job_of_a_schedule_is_queued_if_its_worker_never_heard_of_it(
    start: Start, runs: Runs, live_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The schedule was taken, but the response was lost, or the worker was killed and started again."""
    fetch = WorkerDriver.fetch
    is_lost, is_asked_again = asyncio.Event(), asyncio.Event()

    async def lose(driver: WorkerDriver, query: str, *args: object) -> list[dict[str, object]]:
        rows = await fetch(driver, query, *args)
        if "picked_jobs" in query and is_lost.is_set():
            is_asked_again.set()
        elif "picked_jobs" in query and rows:
            is_lost.set()
            raise UnavailableError("The response was lost", kind="unreachable")
        return rows

    monkeypatch.setattr(WorkerDriver, "fetch", lose)
    await make_due(live_database)
    await start(schedules=[Schedule("0 4 * * *", Task(name="nightly"))])
    await is_asked_again.wait()
    async with live_database.transaction() as session:  # half a minute goes by
        await session.execute(
            text("UPDATE pgqueuer_schedules SET heartbeat = heartbeat - interval '31 s'")
        )

    async def done() -> bool:
        return runs.names == ["nightly"]

    await wait_until(done)


async def test_job_that_is_taken_after_the_stop_ends_with_the_others(
    settings: Settings, live_database: Database, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its response was late. What takes longer is queued again, while that can still be recorded."""
    chosen = settings.model_copy(update={"worker_stop_seconds": 1})
    is_taken = asyncio.Event()
    fetch = WorkerDriver.fetch

    async def respond_late(
        driver: WorkerDriver, query: str, *args: object
    ) -> list[dict[str, object]]:
        rows = await fetch(driver, query, *args)
        if "worker_load" in query and rows:
            is_taken.set()
            await asyncio.sleep(2.3)
        return rows

    monkeypatch.setattr(WorkerDriver, "fetch", respond_late)
    runs.gate.clear()
    await enqueue(live_database, "late")
    async with working(Worker(chosen, live_database, [JobKind(Task, runs.run)], [])):
        await is_taken.wait()

    assert await states(live_database) == {"queued": 1}
