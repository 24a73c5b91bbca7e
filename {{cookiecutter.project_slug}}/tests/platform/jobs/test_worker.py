"""Workers run jobs at least once, try again after failures, and give up on those that never work."""

import asyncio
from contextlib import nullcontext, suppress
from datetime import timedelta
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from pgqueuer.queries import EntrypointExecutionParameter
from pgqueuer.types import QueueEntrypoint, QueueManagerId
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from app.core.config import ConfigurationError, Settings
from app.core.database import Database
from app.core.database.budget import SecondConnectionError
from app.core.jobs import kinds, worker
from app.core.jobs.drivers import WorkerDriver
from app.core.jobs.kinds import JobContext, JobKind, Schedule
from app.core.jobs.payload import JobPayload
from app.core.jobs.queries import WorkerQueries
from app.core.jobs.worker import Worker
from app.exceptions import UnavailableError
from app.services.job_service import JobService
from tests.platform.jobs.tasks import (
    Runs,
    Start,
    Task,
    enqueue,
    states,
    wait_for_states,
    wait_until,
)


async def test_job_runs_soon_after_its_commit(
    start: Start, runs: Runs, live_database: Database
) -> None:
    await start()

    await enqueue(live_database, "one", "two")

    await wait_for_states(live_database)
    assert sorted(runs.names) == ["one", "two"]
    assert [context.attempt for context in runs.contexts] == [1, 1]


async def test_idle_worker_is_notified_of_a_new_job(
    start: Start, runs: Runs, live_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_POLL", timedelta(minutes=5))
    await start()
    await asyncio.sleep(0.5)  # it has found nothing, and waits
    await enqueue(live_database, "new")

    async def done() -> bool:
        return runs.names == ["new"]

    await wait_until(done)


async def test_job_holds_one_connection_at_a_time(start: Start, live_database: Database) -> None:
    """Workers may run in the service, where requests wait for the same connections."""
    refused = []

    async def run(_payload: Task, context: JobContext) -> None:
        for _ in range(2):  # one after the other
            async with context.database.read() as session:
                await session.execute(text("SELECT 1"))
        async with context.database.read() as session:
            await session.execute(text("SELECT 1"))
            with pytest.raises(SecondConnectionError) as error:
                async with context.database.transaction() as another:
                    await another.execute(text("SELECT 1"))
            refused.append(error.value)

    await start(run=run)
    await enqueue(live_database, "nested")

    await wait_for_states(live_database)
    assert len(refused) == 1


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

    await wait_for_states(live_database)
    assert [context.attempt for context in runs.contexts] == [1, 2, 3]
    (key,) = {context.key for context in runs.contexts}
    assert key.startswith(f"task/{job_id}/")
    assert runs.outcomes == [("task", "retried"), ("task", "retried"), ("task", "done")]


AGE = text("UPDATE pgqueuer SET updated = updated - interval '1 h' WHERE id = ANY(:ids)")


async def test_job_that_always_fails_is_dead_until_somebody_decides(
    start: Start, runs: Runs, live_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kinds, "backoff", lambda _: timedelta(milliseconds=10))
    kept, discarded = await enqueue(live_database, "kept"), await enqueue(live_database, "other")
    runs.failures = 4

    await start(attempts=2)

    await wait_for_states(live_database, dead=2)
    async with live_database.transaction() as session:
        service = JobService(session)
        await session.execute(AGE, {"ids": discarded})
        jobs = {job.id: job for job in await service.list_dead(10)}
        assert list(jobs) == [*kept, *discarded]  # the last that died first
        assert jobs[kept[0]].attempts == 2
        assert jobs[kept[0]].payload == '{"name":"kept"}'
        assert (jobs[kept[0]].error_type, jobs[kept[0]].error) == ("OSError", "not now")
        assert await service.discard([*discarded, 2**40]) == discarded
        assert await service.retry([]) == []
        assert await service.retry(None) == kept

    async def done() -> bool:
        return runs.names == ["kept"]

    await wait_until(done)


async def test_effect_that_claims_its_job_is_made_once(
    start: Start, live_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kinds, "backoff", lambda _: timedelta(milliseconds=10))
    claims: list[bool] = []

    async def run(_: Task, context: JobContext) -> None:
        with suppress(KeyError):
            async with live_database.transaction() as session:
                await context.claim(session)
                raise KeyError("rolled back")
        async with live_database.transaction() as session:
            claims.append(await context.claim(session))
        if context.attempt == 1:
            raise OSError("after the effect")

    await enqueue(live_database, "without headers")
    await start(run=run, attempts=2)

    await wait_for_states(live_database)
    assert claims == [True, False]


SPOIL = text(
    "UPDATE pgqueuer SET payload = '{\"added\": 1}', created = now() - CAST(:age AS interval)"
)


async def test_payload_that_cannot_be_read_is_dead_at_once(
    start: Start, runs: Runs, live_database: Database
) -> None:
    await enqueue(live_database, "old")
    async with live_database.transaction() as session:
        await session.execute(SPOIL, {"age": timedelta(minutes=16)})

    await start()

    await wait_for_states(live_database, dead=1)
    async with live_database.read() as session:
        (job,) = await JobService(session).list_dead(10)
    assert (job.attempts, job.error_type) == (1, "PayloadError")
    assert job.error == "added: Extra inputs are not permitted"
    assert runs.contexts == []


async def test_new_payload_waits_for_a_worker_of_its_version(
    start: Start, runs: Runs, live_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """While a new version is rolled out, and without costing an attempt."""
    await enqueue(live_database, "new")
    async with live_database.transaction() as session:
        await session.execute(SPOIL, {"age": timedelta(0)})
    await start(attempts=1)

    async def left() -> bool:
        return "is left to another version: added: Extra inputs" in caplog.text

    await wait_until(left)
    async with live_database.transaction() as session:
        await session.execute(text("UPDATE pgqueuer SET payload = '{}'"))

    await wait_for_states(live_database)
    assert [context.attempt for context in runs.contexts] == [1]


@pytest.mark.parametrize(
    ("error", "is_lost_race"),
    [
        (UnavailableError("deadlock", kind="deadlock"), True),
        (IntegrityError("", {}, Exception('constraint "pgqueuer_picked_slot_idx"')), True),
        (IntegrityError("", {}, Exception('constraint "pgqueuer_log_pkey"')), False),
    ],
)
async def test_lost_race_for_the_last_place_of_a_kind_ends_no_worker(
    live_database: Database,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    is_lost_race: bool,
) -> None:
    async def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(WorkerDriver, "fetch", fail)
    async with WorkerDriver.connect(live_database) as driver:
        queries = WorkerQueries(driver)
        await queries.insert_schedule({})
        parameters = {QueueEntrypoint("task"): EntrypointExecutionParameter(1)}
        manager, hour = QueueManagerId(uuid4()), timedelta(hours=1)
        with nullcontext() if is_lost_race else pytest.raises(IntegrityError):
            assert await queries.dequeue(1, parameters, manager, None, hour) == []
    assert queries.is_available is is_lost_race


class Unlisted(JobPayload):
    job: ClassVar = "unlisted"


@pytest.mark.parametrize(
    ("number", "schedules", "message"),
    [
        (2, [], "task already in registry"),
        (1, [Schedule("every night", Task())], "Invalid cron expression: every night"),
        (1, [Schedule("0 4 * * *", Unlisted())], "a schedule has the unlisted kind unlisted"),
    ],
)
def test_worker_refuses_what_could_never_run(
    settings: Settings, pool: Database, runs: Runs, number: int, schedules: Any, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Worker(settings, pool, [JobKind(Task, runs.run)] * number, schedules)


async def test_job_that_takes_too_long_has_failed(
    start: Start, runs: Runs, live_database: Database
) -> None:
    runs.gate.clear()
    await enqueue(live_database, "endless")

    await start(timeout=0.05, attempts=1)

    await wait_for_states(live_database, dead=1)
    async with live_database.read() as session:
        (job,) = await JobService(session).list_dead(10)
    assert job.error_type == "TimeoutError"


async def test_limit_of_a_kind_holds_for_all_workers(
    start: Start, runs: Runs, live_database: Database
) -> None:
    runs.gate.clear()
    await enqueue(live_database, *map(str, range(12)))
    for _ in range(2):
        await start(at_once=2)

    async def full() -> bool:
        return runs.at_once == 2

    await wait_until(full)
    await asyncio.sleep(0.5)  # in which both workers look again
    runs.gate.set()

    async def done() -> bool:
        return len(runs.names) == 12

    await wait_until(done)
    assert runs.most_at_once == 2


async def test_each_job_runs_on_one_worker(
    start: Start, runs: Runs, live_database: Database
) -> None:
    for _ in range(2):
        await start()

    await enqueue(live_database, *map(str, range(50)))

    await wait_for_states(live_database)
    assert sorted(map(int, runs.names)) == list(range(50))


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
    await asyncio.sleep(1)  # in which each of the workers has looked

    async def done() -> bool:
        return bool(runs.names) and await states(live_database) == {}

    await wait_until(done)
    async with live_database.read() as session:
        wait = await session.scalar(text("SELECT next_run > now() FROM pgqueuer_schedules"))
    assert wait is True
    assert runs.names == ["nightly"]


def test_waits_double_up_to_a_quarter_of_an_hour() -> None:
    waits = [kinds.backoff(attempt).total_seconds() for attempt in range(1, 20)]

    assert all(2**n / 2 <= wait <= 2**n for n, wait in enumerate(waits[:9]))
    assert all(450 <= wait <= 900 for wait in waits[10:])
    assert kinds.backoff(5_000) <= timedelta(minutes=15)
