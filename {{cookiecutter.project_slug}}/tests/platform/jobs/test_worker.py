"""Workers run jobs at least once, try again after failures, and give up on those that never work."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from fastapi import FastAPI
from pgqueuer.queries import EntrypointExecutionParameter
from pgqueuer.types import QueueEntrypoint, QueueManagerId
from sqlalchemy import URL, text

from app.core.config import ConfigurationError, Settings
from app.core.database import Database
from app.core.database.drivers import driver_for
from app.core.jobs import kinds, queries
from app.core.jobs.drivers import WorkerDriver
from app.core.jobs.kinds import JobContext, JobKind, Schedule
from app.core.jobs.payload import JobPayload
from app.core.jobs.queries import WorkerQueries
from app.core.jobs.queue import JobQueue
from app.core.jobs.worker import Outcome, Worker, working
from app.core.observability.metrics.jobs import JobMetrics
from app.core.observability.metrics.registry import Registry
from app.exceptions import UnavailableError
from app.jobs.maintenance import Prune
from app.services.job_service import JobService
from app.worker import create_worker
from tests.conftest import http_client
from tests.platform.observability.scrapes import Scrape
from tests.postgres import temporary_database

Start = Callable[..., Awaitable[Worker]]


class Task(JobPayload):
    job: ClassVar = "task"

    name: str = "task"

    @classmethod
    def named(cls, name: str) -> "Task":
        return cls(name=name)


class Runs:
    """Records the runs of jobs, of which the first `failures` fail."""

    def __init__(self) -> None:
        self.failures = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.contexts: list[JobContext] = []
        self.names: list[str] = []
        self.at_once = self.most_at_once = 0
        self.outcomes: list[tuple[str, Outcome]] = []

    def observe(self, job: str, outcome: Outcome, _seconds: float) -> None:
        self.outcomes.append((job, outcome))

    async def run(self, payload: Task, context: JobContext) -> None:
        self.contexts.append(context)
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            await self.gate.wait()
        finally:
            self.at_once -= 1
        if len(self.contexts) <= self.failures:
            raise OSError("not now")
        self.names.append(payload.name)


@pytest.fixture
def runs() -> Runs:
    return Runs()


@pytest.fixture
async def start(runs: Runs, settings: Settings, live_database: Database) -> AsyncGenerator[Start]:
    """Start a worker for `Task`, which stops after the test."""
    async with AsyncExitStack() as stack:

        async def start_worker(
            *,
            lost: float = 30,
            stop: float = 20,
            schedules: Sequence[Schedule] = (),
            **options: Any,
        ) -> Worker:
            kind = JobKind(Task, runs.run, **options)
            update = {"worker_lost_seconds": lost, "worker_stop_seconds": stop}
            changed = settings.model_copy(update=update)
            worker = Worker(changed, live_database, [kind], schedules, runs.observe)
            await stack.enter_async_context(working(worker))
            return worker

        yield start_worker
        runs.gate.set()


async def enqueue(database: Database, *names: str, **options: Any) -> list[int]:
    async with database.transaction() as session:
        return await JobQueue(session).enqueue(*map(Task.named, names), **options)


async def states(database: Database) -> Counter[str]:
    async with database.read() as session:
        rows = await JobService(session).count()
    return Counter({row.state: row.number for row in rows})


async def wait_until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.02)


async def test_job_runs_soon_after_its_commit(
    start: Start, runs: Runs, live_database: Database
) -> None:
    await start()

    await enqueue(live_database, "one", "two")

    async def done() -> bool:
        return await states(live_database) == {}

    await wait_until(done)
    assert sorted(runs.names) == ["one", "two"]
    assert [context.attempt for context in runs.contexts] == [1, 1]


async def test_urgent_jobs_run_first(start: Start, runs: Runs, live_database: Database) -> None:
    await enqueue(live_database, "low")
    await enqueue(live_database, "high", priority=1)

    await start(at_once=1)

    async def done() -> bool:
        return len(runs.names) == 2

    await wait_until(done)
    assert runs.names == ["high", "low"]


async def test_job_that_fails_runs_again_with_the_same_key(
    start: Start, runs: Runs, live_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kinds, "backoff", lambda _: timedelta(milliseconds=10))
    runs.failures = 2
    (job_id,) = await enqueue(live_database, "stubborn")

    await start()

    async def done() -> bool:
        return await states(live_database) == {}

    await wait_until(done)
    assert [context.attempt for context in runs.contexts] == [1, 2, 3]
    (key,) = {context.key for context in runs.contexts}
    assert key.startswith(f"task/{job_id}/")
    assert runs.outcomes == [("task", "retried"), ("task", "retried"), ("task", "done")]


async def test_job_that_always_fails_is_dead_until_somebody_decides(
    start: Start, runs: Runs, live_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kinds, "backoff", lambda _: timedelta(milliseconds=10))
    runs.failures = 2
    kept, discarded = await enqueue(live_database, "kept"), await enqueue(live_database, "other")
    runs.failures = 4

    await start(attempts=2)

    async def dead() -> bool:
        return await states(live_database) == {"dead": 2}

    await wait_until(dead)
    async with live_database.transaction() as session:
        service = JobService(session)
        jobs = {job.id: job for job in await service.list_dead(10)}
        assert jobs[kept[0]].attempts == 2
        assert jobs[kept[0]].payload == '{"name":"kept"}'
        assert (jobs[kept[0]].error_type, jobs[kept[0]].error) == ("OSError", "not now")
        assert await service.discard([*discarded, 2**40]) == discarded
        assert await service.retry([]) == kept

    async def done() -> bool:
        return runs.names == ["kept"]

    await wait_until(done)


async def test_payload_that_cannot_be_read_is_dead_at_once(
    start: Start, runs: Runs, live_database: Database
) -> None:
    await enqueue(live_database, "old")
    async with live_database.transaction() as session:
        await session.execute(text("UPDATE pgqueuer SET payload = '{\"former\": 1}'"))

    await start()

    async def dead() -> bool:
        return await states(live_database) == {"dead": 1}

    await wait_until(dead)
    async with live_database.read() as session:
        (job,) = await JobService(session).list_dead(10)
    assert (job.attempts, job.error_type) == (1, "PayloadError")
    assert runs.contexts == []


async def test_job_that_takes_too_long_has_failed(
    start: Start, runs: Runs, live_database: Database
) -> None:
    runs.gate.clear()
    await enqueue(live_database, "endless")

    await start(timeout=0.05, attempts=1)

    async def dead() -> bool:
        return await states(live_database) == {"dead": 1}

    await wait_until(dead)
    async with live_database.read() as session:
        (job,) = await JobService(session).list_dead(10)
    assert job.error_type == "TimeoutError"


async def test_limit_of_a_kind_holds_for_all_workers(
    start: Start, runs: Runs, live_database: Database
) -> None:
    await enqueue(live_database, *map(str, range(12)))

    for _ in range(2):
        await start(at_once=2)

    async def done() -> bool:
        return len(runs.names) == 12

    await wait_until(done)
    assert runs.most_at_once <= 2


async def test_each_job_runs_on_one_worker(
    start: Start, runs: Runs, live_database: Database
) -> None:
    for _ in range(2):
        await start()

    await enqueue(live_database, *map(str, range(50)))

    async def done() -> bool:
        return await states(live_database) == {}

    await wait_until(done)
    assert sorted(map(int, runs.names)) == list(range(50))


async def test_jobs_of_a_worker_that_is_gone_are_taken_over(
    start: Start, runs: Runs, live_database: Database
) -> None:
    await enqueue(live_database, "orphan")
    async with live_database.transaction() as session:
        await session.execute(
            text(
                "UPDATE pgqueuer SET status = 'picked', queue_manager_id = gen_random_uuid(), "
                "heartbeat = now() - interval '3 s'"
            )
        )

    await start(lost=2)

    async def done() -> bool:
        return runs.names == ["orphan"]

    await wait_until(done)


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


async def test_job_that_no_worker_survives_is_dead(
    start: Start, runs: Runs, live_database: Database
) -> None:
    (job_id,) = await enqueue(live_database, "deadly")
    async with live_database.transaction() as session:
        for statement in (
            "INSERT INTO pgqueuer_log (job_id, status, entrypoint, priority, created) "
            "SELECT :id, 'picked', 'task', 0, now() + interval '1 s' FROM generate_series(1, 3)",
            "UPDATE pgqueuer SET status = 'picked', queue_manager_id = gen_random_uuid(), "
            "heartbeat = now() - interval '1 h', execute_after = now() - interval '1 h' "
            "WHERE id = :id",
        ):
            await session.execute(text(statement), {"id": job_id})

    await start(attempts=3)

    async def dead() -> bool:
        return await states(live_database) == {"dead": 1}

    await wait_until(dead)
    async with live_database.read() as session:
        (job,) = await JobService(session).list_dead(10)
    assert job.error == "3 workers were lost while they ran it"
    assert runs.contexts == []


async def test_job_that_was_taken_over_survives_a_database_that_is_away(
    start: Start, runs: Runs, live_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_queries: WorkerQueries, _job_id: int) -> int:
        monkeypatch.undo()
        raise UnavailableError("away")

    monkeypatch.setattr(WorkerQueries, "count_runs", fail)
    await enqueue(live_database, "late")
    async with live_database.transaction() as session:
        await session.execute(text("UPDATE pgqueuer SET execute_after = now() - interval '1 h'"))

    await start()

    async def done() -> bool:
        return runs.names == ["late"]

    await wait_until(done)
    assert runs.outcomes == [("task", "retried"), ("task", "done")]


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


async def test_schedule_queues_one_job_however_many_workers_there_are(
    start: Start, runs: Runs, live_database: Database
) -> None:
    """The schedule has been due for a while, because no worker was running."""
    schedule = Schedule("0 4 * * *", Task(name="nightly"))
    async with live_database.transaction() as session:
        await session.execute(
            text(
                "INSERT INTO pgqueuer_schedules (expression, entrypoint, next_run) "
                "VALUES ('0 4 * * *', 'task', now() - interval '1 h')"
            )
        )

    for _ in range(3):
        await start(schedules=[schedule])

    async def done() -> bool:
        return bool(runs.names) and await states(live_database) == {}

    await wait_until(done)
    async with live_database.read() as session:
        wait = await session.scalar(text("SELECT next_run > now() FROM pgqueuer_schedules"))
    assert wait is True
    assert runs.names == ["nightly"]


async def test_next_attempt_of_a_job_survives_a_database_that_is_away(
    live_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PGQueuer alone would make the job a dead one."""
    monkeypatch.setattr(queries, "_PAUSE", 0.01)
    (job_id,) = await enqueue(live_database, "unlucky")
    failures = iter([UnavailableError("away"), UnavailableError("away"), None])
    execute = WorkerDriver.execute

    async def fail_twice(driver: WorkerDriver, query: str, *args: object) -> str:
        if error := next(failures):
            raise error
        return await execute(driver, query, *args)

    async with WorkerDriver.connect(live_database) as driver:
        worker = WorkerQueries(driver, patience=60)
        parameters = {QueueEntrypoint("task"): EntrypointExecutionParameter(0)}
        manager, hour = QueueManagerId(uuid4()), timedelta(hours=1)
        (job,) = await worker.dequeue(1, parameters, manager, None, hour)
        monkeypatch.setattr(WorkerDriver, "execute", fail_twice)
        await worker.retry_job(job, timedelta(hours=1), None)

    assert job.id == job_id
    assert await states(live_database) == {"queued": 1}


async def test_end_that_cannot_be_recorded_in_time_is_left_to_others(
    live_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> str:
        raise UnavailableError("away")

    await enqueue(live_database, "unlucky")
    async with WorkerDriver.connect(live_database) as driver:
        worker = WorkerQueries(driver, patience=0)
        parameters = {QueueEntrypoint("task"): EntrypointExecutionParameter(0)}
        manager, hour = QueueManagerId(uuid4()), timedelta(hours=1)
        (job,) = await worker.dequeue(1, parameters, manager, None, hour)
        monkeypatch.setattr(WorkerDriver, "execute", fail)
        await worker.retry_job(job, timedelta(0), None)
        with pytest.raises(UnavailableError):
            await worker.log_jobs([(job, "successful", None)])

    assert await states(live_database) == {"running": 1}


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

            async def done() -> bool:
                return await states(live_database) == {}

            await wait_until(done)
            assert (await client.get("/health/ready")).json() == {"status": "ok"}
            assert (await client.get("/health/live")).json() == {"status": "ok"}
            scrape = Scrape.of(await client.get("/metrics"))
    assert scrape.sum("job_runs_total", kind="task", outcome="done") == 1
    assert scrape.sum("job_duration_seconds_count", kind="task") == 1


def test_metrics_show_jobs_until_they_are_gone() -> None:
    registry = Registry(None)
    metrics = JobMetrics(registry)

    metrics.show([("task", "dead", 2, 60.0), ("task", "queued", 1, 5.0)])
    assert b'jobs{kind="task",state="dead"} 2.0' in registry.render()
    assert b'job_waiting_seconds{kind="task"} 5.0' in registry.render()
    metrics.show([])
    assert b'jobs{kind="task",state="dead"} 0.0' in registry.render()
    assert b'job_waiting_seconds{kind="task"} 0.0' in registry.render()


async def test_worker_connects_again_when_its_connections_are_lost(
    start: Start, runs: Runs, live_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    worker = await start()

    async def works() -> bool:
        return worker.is_working

    await wait_until(works)
    caplog.set_level(logging.WARNING)
    async with live_database.transaction() as session:
        await session.execute(
            text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    await enqueue(live_database, "after")

    async def done() -> bool:
        return runs.names == ["after"]

    await wait_until(done)


def test_worker_behind_a_pooler_needs_postgresql_itself(settings: Settings, pool: Database) -> None:
    pooled = settings.model_copy(update={"database_pooler": True, "worker_database_url": None})

    with pytest.raises(ConfigurationError, match="WORKER_DATABASE_URL"):
        Worker(pooled, pool, [], [])


def test_waits_double_up_to_a_quarter_of_an_hour() -> None:
    waits = [kinds.backoff(attempt).total_seconds() for attempt in range(1, 20)]

    assert all(2**n / 2 <= wait <= 2**n for n, wait in enumerate(waits[:9]))
    assert all(450 <= wait <= 900 for wait in waits[10:])
