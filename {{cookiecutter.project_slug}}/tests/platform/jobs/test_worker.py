"""Workers run jobs at least once, try again after failures, and give up on those that never work."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from sqlalchemy import text

from app.core.config import ConfigurationError, Settings
from app.core.database import Database
from app.core.jobs import kinds
from app.core.jobs.kinds import JobContext, JobKind
from app.core.jobs.payload import JobPayload
from app.core.jobs.queue import JobQueue
from app.core.jobs.worker import Worker, working
from app.services.job_service import JobService

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

        async def start_worker(*, lost: float = 30, **options: Any) -> Worker:
            kind = JobKind(Task, runs.run, **options)
            changed = settings.model_copy(update={"worker_lost_seconds": lost})
            worker = Worker(changed, live_database, [kind], [])
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
