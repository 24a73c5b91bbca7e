from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import ConfigurationError, Settings
from app.core.database import Database
from app.core.jobs.payload import JobPayload, payloads_of
from app.core.jobs.queue import JobQueue
from app.exceptions import UnavailableError
from app.jobs import SCHEDULES, make_kinds
from app.jobs.maintenance import PRUNERS, Prune, PruneError, prune
from app.models.idempotency_key import IdempotencyKey
from app.repositories.idempotency_key_repo import IdempotencyKeyRepository
from app.repositories.job_repo import JobRepository
from app.services import idempotency_service, job_service
from tests.inline_jobs import InlineJobs


class Dead(JobPayload):
    job: ClassVar = "dead"


def test_rows_are_pruned_every_night() -> None:
    assert Prune() in [schedule.payload for schedule in SCHEDULES]


async def test_job_prunes_and_says_how_much(
    session: AsyncSession, jobs: InlineJobs, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "app")
    old = datetime.now(UTC) - timedelta(days=365)
    stored = {"scope": "", "key": "", "fingerprint": b"", "status": 0, "headers": [], "body": b""}
    session.add(IdempotencyKey(created_at=old, **stored))
    await JobQueue(session).enqueue(Prune())
    await session.commit()

    assert await jobs.run_all() == 1

    assert "deleted 1 expired idempotency keys" in caplog.messages


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


async def test_log_is_deleted_in_batches(
    live_session: AsyncSession, live_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is a transaction of its own, so that the longest log fits into the time limits."""
    monkeypatch.setattr(job_service, "_LOG_ENTRIES_AT_ONCE", 2)
    await live_session.execute(
        text(
            "INSERT INTO pgqueuer_log (created, job_id, status, priority, entrypoint) "
            "SELECT now() - interval '8 days', n, 'queued', 0, 'task' FROM generate_series(1, 5) n"
        )
    )
    await live_session.commit()
    transactions = live_database.transactions.commits

    deleted = (await prune(live_database)).deleted

    assert deleted["log entries of jobs"] == 5
    assert live_database.transactions.commits - transactions >= len(deleted) + 2


async def test_keys_are_deleted_in_batches(
    live_session: AsyncSession, live_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service whose clients send keys may store millions of responses in a day."""
    monkeypatch.setattr(idempotency_service, "_PRUNED_AT_ONCE", 2)
    old = datetime.now(UTC) - timedelta(days=365)
    stored = {"scope": "", "fingerprint": b"", "status": 0, "headers": [], "body": b""}
    live_session.add_all(
        IdempotencyKey(key=str(number), created_at=created_at, **stored)
        for number, created_at in enumerate([*[old] * 5, datetime.now(UTC)])
    )
    await live_session.commit()
    transactions = live_database.transactions.commits

    deleted = (await prune(live_database)).deleted

    assert deleted["idempotency keys"] == 5
    assert live_database.transactions.commits - transactions >= len(deleted) + 2
    assert (await live_session.scalars(select(IdempotencyKey.key))).all() == ["5"]


@pytest.fixture
def expire_meanwhile(
    live_session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> Callable[[type, str, str], Awaitable[None]]:
    """Add a row that has expired just then, whenever a method of a repository deletes some: ten in all."""

    async def expire(repository: type, method: str, insert: str) -> None:
        delete, rows = getattr(repository, method), iter(range(10))

        async def add() -> None:
            if next(rows, None) is not None:
                await live_session.execute(text(insert))
                await live_session.commit()

        async def delete_and_add(*arguments: object) -> int:
            deleted: int = await delete(*arguments)
            await add()
            return deleted

        await add()
        monkeypatch.setattr(repository, method, delete_and_add)

    return expire


async def test_entries_that_become_old_meanwhile_are_left_for_the_next_time(
    live_database: Database, expire_meanwhile: Callable[[type, str, str], Awaitable[None]]
) -> None:
    """A service that runs many jobs has another one at any time, so pruning would never end."""
    insert = (
        "INSERT INTO pgqueuer_log (created, job_id, status, priority, entrypoint) "
        "VALUES (clock_timestamp() - interval '7 days', 1, 'queued', 0, 'task')"
    )
    await expire_meanwhile(JobRepository, "delete_log", insert)

    assert (await prune(live_database)).deleted["log entries of jobs"] == 1


async def test_keys_that_expire_meanwhile_are_left_for_the_next_time(
    live_database: Database, expire_meanwhile: Callable[[type, str, str], Awaitable[None]]
) -> None:
    insert = (
        "INSERT INTO idempotency_keys (created_at, scope, key, fingerprint, status, headers, body) "
        "VALUES (clock_timestamp() - interval '24 hours', '', gen_random_uuid(), '', 0, '[]', '')"
    )
    await expire_meanwhile(IdempotencyKeyRepository, "delete_older_than", insert)

    assert (await prune(live_database)).deleted["idempotency keys"] == 1


async def test_rows_that_cannot_be_deleted_do_not_keep_the_others(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: Database) -> int:
        raise UnavailableError("The database took too long to respond")

    first, *others = PRUNERS
    monkeypatch.setitem(PRUNERS, first, fail)

    pruned = await prune(database)

    assert list(pruned.deleted) == others
    with pytest.raises(PruneError, match=f"^{first}: The database took too long to respond$"):
        pruned.require_success()


def test_payload_that_no_kind_has_is_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise its jobs would wait for ever."""
    monkeypatch.setattr(Dead, "__module__", "app.schemas.forgotten")

    with pytest.raises(ConfigurationError, match="Dead: no kind of job"):
        make_kinds(settings)


def test_every_payload_of_the_app_is_listed(settings: Settings) -> None:
    assert {kind.payload for kind in make_kinds(settings)} == set(payloads_of("app"))
