"""Jobs survive workers and databases that vanish, and workers survive jobs."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from pgqueuer import Job
from pgqueuer.queries import EntrypointExecutionParameter
from pgqueuer.types import QueueEntrypoint, QueueManagerId
from sqlalchemy import text

from app.core.database import Database
from app.core.jobs import queries
from app.core.jobs.drivers import WorkerDriver
from app.core.jobs.queries import WorkerQueries
from app.exceptions import UnavailableError
from app.services.job_service import JobService
from tests.platform.jobs.tasks import Runs, Start, enqueue, states, wait_for_states, wait_until

MANAGER = QueueManagerId(uuid4())


async def take(
    worker: WorkerQueries, *, places: int | None = None, lost: timedelta = timedelta(hours=1)
) -> list[Job]:
    """Take one job at most, for a worker with so many places."""
    parameters = {QueueEntrypoint("task"): EntrypointExecutionParameter(0)}
    return await worker.dequeue(1, parameters, MANAGER, places, lost)


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

    await wait_for_states(live_database, dead=1)
    async with live_database.read() as session:
        (job,) = await JobService(session).list_dead(10)
    assert job.error == "3 workers were lost, or did not respond, while they ran it"
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
        await worker.insert_schedule({})
        (job,) = await take(worker)
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
        await worker.insert_schedule({})
        (job,) = await take(worker)
        monkeypatch.setattr(WorkerDriver, "execute", fail)
        await worker.retry_job(job, timedelta(0), None)
        with pytest.raises(UnavailableError):
            await worker.log_jobs([(job, "successful", None)])

    assert await states(live_database) == {"running": 1}


async def test_worker_that_was_frozen_takes_no_more_jobs_than_it_has_places(
    live_database: Database,
) -> None:
    await enqueue(live_database, "frozen", "next")
    async with WorkerDriver.connect(live_database) as driver:
        worker = WorkerQueries(driver)
        await worker.insert_schedule({})
        lost = timedelta(seconds=0.1)
        (job,) = await take(worker, places=1, lost=lost)
        await asyncio.sleep(0.2)
        while_it_runs = await take(worker, places=1, lost=lost)
        await worker.log_jobs([(job, "canceled", None)])
        await asyncio.sleep(0.2)
        given_up = await take(worker, places=1, lost=lost)

    assert while_it_runs == []
    assert len(given_up) == 1


async def test_worker_connects_again_when_its_connections_are_lost(
    start: Start, runs: Runs, live_database: Database
) -> None:
    worker = await start()

    async def works() -> bool:
        return worker.is_working

    await wait_until(works)
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
