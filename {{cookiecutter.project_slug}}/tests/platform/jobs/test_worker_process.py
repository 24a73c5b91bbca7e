"""How workers start, stop and show what they do."""

import asyncio
from collections.abc import Callable, Generator, Sequence

import pytest
from fastapi import FastAPI
from sqlalchemy import URL, text
from sqlalchemy.exc import ProgrammingError

from app.core.config import ConfigurationError, Settings
from app.core.database import Database
from app.core.database.drivers import driver_for
from app.core.jobs.kinds import JobKind
from app.core.jobs.queue import JobQueue
from app.core.jobs.worker import Worker, working
from app.core.observability.metrics.jobs import JobMetrics
from app.core.observability.metrics.registry import Registry
from app.jobs import running
from app.jobs.maintenance import Prune
from app.repositories.job_repo import QueuedJobs
from app.services.job_service import JobService
from app.worker import create_worker
from tests.conftest import http_client
from tests.platform.jobs.tasks import (
    Runs,
    Start,
    Task,
    enqueue,
    states,
    wait_for_states,
    wait_until,
)
from tests.platform.observability.scrapes import Scrape
from tests.postgres import temporary_database


async def test_worker_that_stops_finishes_what_runs_and_takes_nothing_new(
    start: Start, runs: Runs, live_database: Database
) -> None:
    runs.gate.clear()
    worker = await start()
    await enqueue(live_database, "running")

    async def running() -> bool:
        return runs.at_once == 1

    await wait_until(running)
    worker.stop()
    await asyncio.sleep(0.1)  # it may be about to take jobs
    await enqueue(live_database, "new")
    runs.gate.set()

    async def done() -> bool:
        return runs.names == ["running"] and not worker.is_working

    await wait_until(done)
    assert await states(live_database) == {"queued": 1}


async def test_job_that_takes_too_long_to_stop_is_queued_again(
    start: Start, runs: Runs, live_database: Database
) -> None:
    """Also at its last attempt: the job has not failed."""
    runs.gate.clear()
    worker = await start(stop=0.05, attempts=1)
    await enqueue(live_database, "long")

    async def running() -> bool:
        return runs.at_once == 1

    await wait_until(running)
    worker.stop()

    async def stopped() -> bool:
        return not worker.is_working

    await wait_until(stopped)
    assert await states(live_database) == {"queued": 1}
    assert runs.outcomes == [("task", "retried")]
    async with live_database.read() as session:
        assert await session.scalar(text("SELECT attempts FROM pgqueuer")) == 0


@pytest.fixture
def empty_url(template_url: URL, worker_id: str) -> Generator[URL]:
    with temporary_database(template_url, f"{template_url.database}_{worker_id}_empty") as url:
        yield url


async def test_worker_waits_for_the_migration(
    settings: Settings, empty_url: URL, caplog: pytest.LogCaptureFixture
) -> None:
    chosen = settings.model_copy(update={"database_url": empty_url})
    database = Database(chosen)
    worker = Worker(chosen, database, [], [])

    async def waits() -> bool:
        return "the database has no job queue yet; run `app migrate`" in caplog.text

    async with working(worker):
        await wait_until(waits)
        assert not worker.is_working
    await database.dispose()


async def test_pooler_in_place_of_postgresql_is_refused(
    start: Start,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A pooler sends a process id of its own."""
    monkeypatch.setattr(driver_for(settings.database_url), "backend_pid", lambda _connection: -1)
    worker = await start()

    async def refused() -> bool:
        return "WORKER_DATABASE_URL: must be PostgreSQL itself" in caplog.text

    await wait_until(refused)
    assert not worker.is_working
    with pytest.raises(ConfigurationError, match="must be PostgreSQL itself"):
        await worker.check()


def test_worker_behind_a_pooler_needs_postgresql_itself(
    settings: Settings, pool: Database, app_with: Callable[..., FastAPI]
) -> None:
    pooled = {"database_pooler": True, "worker_database_url": None}

    with pytest.raises(ConfigurationError, match="WORKER_DATABASE_URL"):
        Worker(settings.model_copy(update=pooled), pool, [], [])
    with pytest.raises(ConfigurationError, match="WORKER_DATABASE_URL"):
        app_with(worker_in_service=True, **pooled)


async def test_service_runs_jobs_itself_if_it_is_told_to(
    app_with: Callable[..., FastAPI], live_database: Database
) -> None:
    """As `app dev` does."""
    async with live_database.transaction() as session:
        await JobQueue(session).enqueue(Prune())
    app = app_with(worker_in_service=True)

    async def done() -> bool:
        return await states(live_database) == {}

    async with app.router.lifespan_context(app):
        await wait_until(done)


async def test_worker_process_shows_its_health_and_its_jobs(
    settings: Settings, live_database: Database, runs: Runs
) -> None:
    await enqueue(live_database, "one")
    chosen = settings.model_copy(update={"metrics": "on"})
    app = create_worker(chosen, [JobKind(Task, runs.run)], [])
    async with http_client(app) as client:
        assert (await client.get("/health/ready")).status_code == 503
        async with app.router.lifespan_context(app):
            await wait_for_states(live_database)
            assert (await client.get("/health/ready")).json() == {"status": "ok"}
            assert (await client.get("/health/live")).json() == {"status": "ok"}
            scrape = Scrape.of(await client.get("/metrics"))
    assert scrape.sum("job_runs_total", kind="task", outcome="done") == 1
    assert scrape.sum("job_duration_seconds_count", kind="task") == 1


async def test_service_that_runs_jobs_shows_them(
    app_with: Callable[..., FastAPI], live_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "_COUNT_SECONDS", 0.05)
    await enqueue(live_database, "of a kind without a handler")
    async with live_database.transaction() as session:
        await JobQueue(session).enqueue(Prune())
    app = app_with(worker_in_service=True, metrics="on")
    async with app.router.lifespan_context(app), http_client(app) as client:

        async def shown() -> bool:
            scrape = Scrape.of(await client.get("/metrics"))
            return (
                scrape.sum("job_runs_total", kind="prune", outcome="done"),
                scrape.sum("job_workers"),
                scrape.sum("jobs", kind="task", state="queued"),
            ) == (1, 1, 1)

        await wait_until(shown)


async def test_jobs_are_counted_again_after_an_error(
    app_with: Callable[..., FastAPI],
    live_database: Database,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whatever it is: without the numbers no alert is raised."""
    monkeypatch.setattr(running, "_COUNT_SECONDS", 0.05)
    failures = iter([True])
    count = JobService.count

    async def fail_once(service: JobService) -> Sequence[QueuedJobs]:
        if next(failures, False):
            raise ProgrammingError("", {}, Exception('relation "pgqueuer" does not exist'))
        return await count(service)

    monkeypatch.setattr(JobService, "count", fail_once)
    await enqueue(live_database, "one")
    app = app_with(worker_in_service=True, metrics="on", log_level="WARNING")
    async with app.router.lifespan_context(app), http_client(app) as client:

        async def shown() -> bool:
            return Scrape.of(await client.get("/metrics")).sum("jobs", kind="task") == 1

        await wait_until(shown)
    assert "The jobs cannot be counted" in caplog.text


async def test_worker_that_was_cancelled_starts_again(
    start: Start, runs: Runs, live_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    before = asyncio.all_tasks()
    worker = await start()

    async def works() -> bool:
        return worker.is_working

    await wait_until(works)
    for task in asyncio.all_tasks() - before:
        if task.get_coro().__qualname__ == "Worker.run":  # type: ignore[union-attr]
            task.cancel()
    await enqueue(live_database, "after")

    async def done() -> bool:
        return runs.names == ["after"]

    await wait_until(done)
    assert "The worker was cancelled, and starts again" in caplog.text


def test_metrics_show_jobs_until_they_are_gone() -> None:
    registry = Registry(None)
    metrics = JobMetrics(registry)

    metrics.show([("task", "dead", 2, 60.0), ("task", "queued", 1, 5.0)])
    assert b'jobs{kind="task",state="dead"} 2.0' in registry.render()
    assert b'job_waiting_seconds{kind="task"} 5.0' in registry.render()
    metrics.show([])
    assert b'jobs{kind="task",state="dead"} 0.0' in registry.render()
    assert b'job_waiting_seconds{kind="task"} 0.0' in registry.render()
