"""A job exists if and only if the transaction that queued it committed."""

from datetime import timedelta
from typing import ClassVar

import pytest
from pgqueuer.queries import Queries
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Database
from app.core.jobs.drivers import SessionDriver
from app.core.jobs.payload import JobPayload
from app.core.jobs.queue import JobQueue
from app.services.job_service import JobService


class Note(JobPayload):
    job: ClassVar = "note"

    text: str


async def queued(database: Database) -> list[str]:
    async with database.read() as session:
        rows = await session.scalars(
            text("SELECT convert_from(payload, 'UTF8') FROM pgqueuer ORDER BY priority DESC, id")
        )
        return [Note.model_validate_json(row).text for row in rows]


async def test_job_is_queued_by_the_commit(live_database: Database) -> None:
    async with live_database.transaction() as session:
        await JobQueue(session).enqueue(Note(text="ünïcode \\ ' :x"))
        assert await queued(live_database) == []

    assert await queued(live_database) == ["ünïcode \\ ' :x"]


async def test_job_of_a_transaction_that_is_rolled_back_is_not_queued(
    live_database: Database,
) -> None:
    async def fail() -> None:
        async with live_database.transaction() as session:
            await JobQueue(session).enqueue(Note(text="lost"))
            raise KeyError

    with pytest.raises(KeyError):
        await fail()

    assert await queued(live_database) == []


async def test_priority_and_delay_are_stored(session: AsyncSession, database: Database) -> None:
    queue = JobQueue(session)
    await queue.enqueue(Note(text="later"), delay=timedelta(minutes=5))
    await queue.enqueue(Note(text="urgent"), priority=3)
    await session.commit()

    assert await queued(database) == ["urgent", "later"]
    wait = await session.scalar(
        text("SELECT execute_after - now() FROM pgqueuer WHERE priority = 0")
    )
    assert wait == timedelta(minutes=5)


async def test_tables_are_those_that_pgqueuer_expects(session: AsyncSession) -> None:
    plan = await Queries(SessionDriver(session)).plan_upgrade()

    assert plan.statements == ()
    assert plan.notes == ()


async def test_jobs_are_counted_with_the_time_for_which_the_first_one_is_due(
    live_database: Database,
) -> None:
    """By the clock of the database, with which that of this machine may differ."""
    async with live_database.transaction() as session:
        await JobQueue(session).enqueue(Note(text="old"), Note(text="new"))
        await session.execute(text("UPDATE pgqueuer SET execute_after = now() - interval '1 h'"))

    async with live_database.read() as session:
        (row,) = await JobService(session).count()

    assert (row.kind, row.state, row.number) == ("note", "queued", 2)
    assert 3600 <= row.seconds < 3660
