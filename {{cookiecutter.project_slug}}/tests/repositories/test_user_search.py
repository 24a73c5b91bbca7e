"""A page of a search costs little, whether the text is common or rare (see `test_post_search`)."""

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Database
from app.repositories.user_repo import UserRepository
from tests.repositories.searches import Search, cost, fill, mislead

pytestmark = pytest.mark.long

USERS = 100_000
FEW = 200  # blocks of 8 kB; the table has more than 1,000


@pytest.fixture(scope="module")
async def database(large_database: Database) -> Database:
    await fill(
        large_database,
        "users",
        """
        INSERT INTO users (email, display_name)
        SELECT 'user' || n || '@example.com',
            CASE WHEN n % 10000 = 5000 THEN 'Zoe Needle' ELSE 'Ann Common' END
        FROM generate_series(1, CAST(:users AS int)) AS n
        """,
        users=USERS,
    )
    return large_database


def page(after: int | None) -> Search:
    async def search(session: AsyncSession, words: str) -> int:
        return len(await UserRepository(session).list_page(limit=21, after=after, text=words))

    return search


@pytest.mark.parametrize("after", [None, 1000])
@pytest.mark.parametrize("words", ["needle", "user77777@", "nobody has this name"])
async def test_rare_text_is_found_by_the_index(
    database: Database, words: str, after: int | None
) -> None:
    blocks, plan = await cost(database, "users", page(after), words)

    assert "Bitmap Index Scan on ix_users_email_display_name_trigrams" in plan, plan
    assert blocks < FEW


@pytest.mark.parametrize("after", [None, 90_000])
@pytest.mark.parametrize("words", ["common", "example.com"])
async def test_common_text_is_found_in_the_order_of_the_list(
    database: Database, words: str, after: int | None
) -> None:
    blocks, plan = await cost(database, "users", page(after), words)

    assert "using pk_users" in plan, plan
    assert blocks < FEW


async def test_other_searches_do_not_change_the_plan(database: Database) -> None:
    await mislead(database, page(None))

    assert (await cost(database, "users", page(None), "needle")).blocks < FEW
    assert (await cost(database, "users", page(None), "common")).blocks < FEW
