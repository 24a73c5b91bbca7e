from typing import ClassVar

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.jobs.payload import JobPayload
from app.core.jobs.queue import JobQueue
from app.jobs import SCHEDULES
from app.jobs.maintenance import Prune
from tests.inline_jobs import InlineJobs


class Dead(JobPayload):
    job: ClassVar = "dead"


def test_rows_are_pruned_every_night() -> None:
    assert [schedule.payload for schedule in SCHEDULES] == [Prune()]


async def test_job_prunes_and_says_how_much(
    session: AsyncSession, jobs: InlineJobs, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "app")
    await JobQueue(session).enqueue(Prune())
    await session.commit()

    assert await jobs.run_all() == 1

    assert "deleted 0 expired idempotency keys" in caplog.messages


async def test_old_dead_jobs_and_log_entries_are_deleted(
    session: AsyncSession, jobs: InlineJobs, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "app")
    old, young = await JobQueue(session).enqueue(Dead(), Dead())
    await session.execute(text("UPDATE pgqueuer SET status = 'failed'"))
    age = text("UPDATE pgqueuer SET updated = now() - interval '31 days' WHERE id = :id")
    await session.execute(age, {"id": old})
    await session.execute(text("UPDATE pgqueuer_log SET created = now() - interval '8 days'"))
    await JobQueue(session).enqueue(Prune())
    await session.commit()

    await jobs.run_all()

    assert (await session.scalars(text("SELECT id FROM pgqueuer"))).all() == [young]
    assert "deleted 1 expired dead jobs" in caplog.messages
    assert "deleted 1 expired log entries of jobs" in caplog.messages
