"""A handler that fails in an unusual way harms neither its worker nor other jobs."""

import asyncio
import logging
import sys
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import text

from app.core.config import Settings
from app.core.database import Database
from app.core.jobs.kinds import FinalError, JobContext
from app.services.job_service import JobService
from tests.platform.jobs.tasks import Start, Task, enqueue, wait_for_states


async def await_what_was_cancelled() -> None:
    """Like a library that cancels a task of its own."""
    task = asyncio.create_task(asyncio.sleep(10))
    await asyncio.sleep(0)
    task.cancel()
    await task


async def leave() -> None:
    sys.exit("no licence")


async def quote_nul() -> None:
    raise FinalError("upstream said: a\0b")


async def quote_half_a_character() -> None:
    raise FinalError("upstream said: \ud83d")


FAILURES: dict[str, tuple[Callable[[], Awaitable[None]], tuple[str, str]]] = {
    "cancelled": (
        await_what_was_cancelled,
        ("RuntimeError", "the handler has awaited what was cancelled"),
    ),
    "exit": (leave, ("RuntimeError", "the handler exited: no licence")),
    "NUL": (quote_nul, ("FinalError", "upstream said: a\ufffdb")),
    "surrogate": (quote_half_a_character, ("FinalError", "upstream said: ?")),
}


@pytest.fixture(autouse=True)
def keep_the_report_encodable(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "pgqueuer")


@pytest.mark.parametrize("name", FAILURES)
async def test_job_is_dead_and_others_are_done(
    start: Start, live_database: Database, name: str
) -> None:
    fail, expected = FAILURES[name]

    async def run(payload: Task, _: JobContext) -> None:
        if payload.name == "bad":
            await fail()

    await enqueue(live_database, "bad", "good", "good")
    await start(run=run, attempts=1)

    await wait_for_states(live_database, dead=1)
    async with live_database.read() as session:
        (job,) = await JobService(session).list_dead(10)
    assert (job.error_type, job.error) == expected


async def test_next_attempt_is_recorded_whatever_the_error_quotes(
    start: Start, live_database: Database
) -> None:
    async def run(_: Task, context: JobContext) -> None:
        if context.attempt == 1:
            raise OSError("upstream said: a\0b\ud83d")

    await enqueue(live_database, "bad")
    await start(run=run)

    await wait_for_states(live_database)


async def test_jobs_whose_tasks_are_cancelled_are_taken_over(
    start: Start, live_database: Database, settings: Settings
) -> None:
    """PGQueuer would delete them. A worker that is full of them takes them over, too."""
    ran: Counter[str] = Counter()

    async def run(payload: Task, _: JobContext) -> None:
        ran[payload.name] += 1
        task = asyncio.current_task()
        if ran[payload.name] == 1 and task:
            task.cancel()
            await asyncio.sleep(0)

    names = [f"cancelled {number}" for number in range(settings.worker_jobs)]
    await enqueue(live_database, *names)
    await start(run=run, lost=1)

    await wait_for_states(live_database)
    assert ran == dict.fromkeys(names, 2)
    async with live_database.read() as session:
        ended = await session.scalars(
            text("SELECT status::text FROM pgqueuer_log ORDER BY id DESC LIMIT 1")
        )
        assert ended.one() == "successful"
