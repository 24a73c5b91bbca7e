from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.user_repo import UserRepository
from tests.factories import Factory
from tests.repositories.scans import scanned_rows


async def test_bulk_insert_returns_the_ids_in_the_order_of_the_rows(session: AsyncSession) -> None:
    emails = [f"{number * 7919 % 2500}@example.com" for number in range(2500)]
    repo = UserRepository(session)

    ids = await repo.create_many([{"email": email, "display_name": "N"} for email in emails])

    for position in (0, 1, 999, 1000, 2499):
        user = await repo.get_by_id(ids[position])
        assert user is not None
        assert user.id == ids[position]


async def test_update_fills_in_what_the_server_changes(
    session: AsyncSession, make: Factory
) -> None:
    user = await make.user(updated_at=datetime(2020, 1, 1, tzinfo=UTC))

    updated = await UserRepository(session).update(user, {"display_name": "Other"})

    assert updated.updated_at.year > 2020


async def test_list_of_the_few_inactive_users_reads_no_others(session: AsyncSession) -> None:
    repo = UserRepository(session)
    await session.execute(
        text(
            "INSERT INTO users (email, display_name, is_active) "
            "SELECT n || '@example.com', 'Ann', n % 250 <> 0 FROM generate_series(1, 5000) AS n"
        )
    )
    await session.commit()
    await session.execute(text("ANALYZE users"))
    before = await scanned_rows(session, "users")

    users = await repo.list_page(limit=21, is_active=False)

    assert len(users) == 20
    assert await scanned_rows(session, "users") - before <= 21
