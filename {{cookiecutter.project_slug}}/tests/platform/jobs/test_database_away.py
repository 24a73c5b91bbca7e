"""A worker waits for the database, says so, and takes jobs again as soon as it is back."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest
from pgqueuer.models import CronExpressionEntrypoint
from pgqueuer.types import CronEntrypoint, CronExpression
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from app.core.config import Settings
from app.core.database import Database
from app.core.jobs import queries, worker
from app.core.jobs.drivers import WorkerDriver
from app.core.jobs.kinds import JobKind, Schedule
from app.core.jobs.queries import WorkerQueries
from app.core.jobs.queue import JobQueue
from app.core.jobs.worker import Worker, working
from app.exceptions import UnavailableError
from tests.platform.database.conftest import without_tls
from tests.platform.database.proxy import proxy_to
from tests.platform.jobs.tasks import Runs, Start, Task, enqueue, make_due, states, wait_until


class Outage:
    """Keeps the statements of workers from the database."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lasts = False
        for name in ("fetch", "execute"):
            self._replace(name, monkeypatch)
        monkeypatch.setattr(queries, "_PAUSE", 0.05)

    def _replace(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        original = getattr(WorkerDriver, name)

        async def fail(driver: WorkerDriver, query: str, *args: object) -> object:
            if self.lasts:
                raise UnavailableError("The database cannot be reached", kind="unreachable")
            return await original(driver, query, *args)

        monkeypatch.setattr(WorkerDriver, name, fail)


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch) -> Outage:
    return Outage(monkeypatch)


async def test_jobs_are_taken_after_an_outage_while_an_earlier_one_still_runs(
    start: Start, runs: Runs, live_database: Database, outage: Outage
) -> None:
    runs.gate.clear()
    started = await start()
    await enqueue(live_database, "long")

    async def running() -> bool:
        return runs.at_once == 1 and started.is_working

    await wait_until(running)
    outage.lasts = True

    async def noticed() -> bool:
        return not started.is_working

    await wait_until(noticed)
    await enqueue(live_database, "short")
    outage.lasts = False

    async def both() -> bool:
        return runs.at_once == 2

    await wait_until(both)
    assert started.is_working


async def test_server_that_hangs_while_the_worker_connects_keeps_nobody(
    settings: Settings,
) -> None:
    async with proxy_to(settings.database_url) as proxy:
        proxy.freeze_at(b"pg_backend_pid")
        changes = {"database_url": without_tls(proxy.url), "database_deadline": 0.5}
        database = Database(settings.model_copy(update=changes))
        async with asyncio.timeout(10):
            with pytest.raises(UnavailableError):
                async with WorkerDriver.connect(database):
                    pass
        assert proxy.tasks  # it has connected


async def test_jobs_are_taken_after_an_outage_while_the_worker_started(
    start: Start, runs: Runs, live_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PGQueuer records the schedules at the time at which it begins to take jobs."""
    failed = asyncio.Event()
    execute = WorkerDriver.execute

    async def fail_late(driver: WorkerDriver, query: str, *args: object) -> str:
        if "pgqueuer_schedules" in query and not failed.is_set():
            await asyncio.sleep(0.5)
            failed.set()
            raise UnavailableError("The database cannot be reached", kind="unreachable")
        return await execute(driver, query, *args)

    monkeypatch.setattr(WorkerDriver, "execute", fail_late)
    runs.gate.clear()
    await enqueue(live_database, "long")
    await start()
    await failed.wait()
    await enqueue(live_database, "short")

    async def both() -> bool:
        return runs.at_once == 2

    await wait_until(both)


async def test_worker_that_is_stopped_while_it_starts_takes_no_job(
    settings: Settings, live_database: Database, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    starting = asyncio.Event()
    execute = WorkerDriver.execute

    async def delay(driver: WorkerDriver, query: str, *args: object) -> str:
        if "pgqueuer_schedules" in query:
            starting.set()
            await asyncio.sleep(1)
        return await execute(driver, query, *args)

    monkeypatch.setattr(WorkerDriver, "execute", delay)
    await enqueue(live_database, "late")
    async with working(Worker(settings, live_database, [JobKind(Task, runs.run)], [])):
        await starting.wait()
        await asyncio.sleep(0.5)

    assert await states(live_database) == {"queued": 1}


async def test_error_of_the_queue_shows_while_the_longest_job_runs(
    start: Start, runs: Runs, live_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.gate.clear()
    await enqueue(live_database, "long")
    started = await start()

    async def running() -> bool:
        return runs.at_once == 1 and started.is_working

    await wait_until(running)

    fetch = WorkerDriver.fetch

    async def fail(driver: WorkerDriver, query: str, *args: object) -> list[dict[str, object]]:
        if "worker_load" in query:
            raise ProgrammingError("", {}, Exception("permission denied for table pgqueuer"))
        return await fetch(driver, query, *args)

    monkeypatch.setattr(WorkerDriver, "fetch", fail)

    async def noticed() -> bool:
        return not started.is_working

    await wait_until(noticed)
    monkeypatch.undo()


async def test_worker_listens_again_when_its_connection_is_lost(
    start: Start, runs: Runs, live_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a job runs, for whose end PGQueuer would wait."""
    monkeypatch.setattr(worker, "_PROBE", timedelta(seconds=0.2))
    runs.gate.clear()
    await enqueue(live_database, "long")
    await start()

    async def listens() -> bool:
        async with live_database.read() as session:
            found = await session.scalar(
                text(
                    "SELECT count(*) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND query ILIKE 'LISTEN %'"
                )
            )
        return bool(found) and runs.at_once == 1

    await wait_until(listens)
    async with live_database.transaction() as session:
        await session.execute(
            text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND query ILIKE 'LISTEN %'"
            )
        )

    await wait_until(listens)


async def test_worker_that_cannot_record_its_jobs_ends_in_time(
    settings: Settings, live_database: Database, runs: Runs, outage: Outage
) -> None:
    chosen = settings.model_copy(update={"worker_lost_seconds": 60, "worker_stop_seconds": 0.2})
    runs.gate.clear()
    await enqueue(live_database, "unlucky")
    async with working(Worker(chosen, live_database, [JobKind(Task, runs.run)], [])):

        async def running() -> bool:
            return runs.at_once == 1

        await wait_until(running)
        outage.lasts = True
        runs.gate.set()
        await asyncio.sleep(0.1)
        stopped = time.monotonic()

    assert time.monotonic() - stopped < 10
    assert await states(live_database) == {"running": 1}


async def test_job_of_a_schedule_is_queued_once_the_database_is_back(
    start: Start, runs: Runs, live_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PGQueuer would skip it until the next time, which is tomorrow."""
    failures = iter([True, True])
    enqueue_all = JobQueue.enqueue

    async def fail_twice(queue: JobQueue, *payloads: Task) -> list[int]:
        if next(failures, False):
            raise UnavailableError("away")
        return await enqueue_all(queue, *payloads)

    monkeypatch.setattr(JobQueue, "enqueue", fail_twice)
    await make_due(live_database)
    await start(schedules=[Schedule("0 4 * * *", Task(name="nightly"))])

    async def done() -> bool:
        return runs.names == ["nightly"]

    await wait_until(done)


async def test_schedule_is_due_again_if_its_worker_stops_before_the_job_is_queued(
    settings: Settings, live_database: Database, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = asyncio.Event()

    async def fail(*_: object) -> list[int]:
        tried.set()
        raise UnavailableError("away")

    monkeypatch.setattr(JobQueue, "enqueue", fail)
    await make_due(live_database)
    schedules = [Schedule("0 4 * * *", Task(name="nightly"))]
    kinds = [JobKind(Task, runs.run)]
    async with working(Worker(settings, live_database, kinds, schedules)):
        await tried.wait()

    async with live_database.read() as session:
        row = await session.execute(
            text("SELECT status::text, next_run <= now() FROM pgqueuer_schedules")
        )
        assert tuple(row.one()) == ("queued", True)


async def test_schedules_are_taken_once_the_database_is_back(
    live_database: Database, outage: Outage
) -> None:
    """At the time that is due then, however long that took."""
    await make_due(live_database)
    name = CronExpressionEntrypoint(CronEntrypoint("task"), CronExpression("0 4 * * *"))
    delay = timedelta(hours=1)
    async with WorkerDriver.connect(live_database) as driver:
        outage.lasts = True
        task = asyncio.create_task(WorkerQueries(driver).fetch_schedule({name: delay}))
        expected = datetime.now(UTC) + delay
        await asyncio.sleep(2.5)
        outage.lasts = False
        (schedule,) = await task

    assert abs((schedule.next_run - expected).total_seconds()) <= 1
