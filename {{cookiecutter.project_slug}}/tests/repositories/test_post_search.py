"""A page of a search costs little, whether the text is common or rare.

A common text is found soon by reading posts in the order of the list. A rare one is not: that would
read the whole table.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Database
from app.repositories.post_repo import PostRepository
from tests.repositories.searches import Search, cost, fill, mislead

pytestmark = pytest.mark.long

START = datetime(2026, 1, 1, tzinfo=UTC)
POSTS = 100_000
FEW = 100  # blocks of 8 kB; the table has more than 5,000
# Between the newest posts and the oldest.
SORTS: list[tuple[str, Any]] = [
    ("-created_at", None),
    ("-created_at", (START + timedelta(minutes=90_000), 2**40)),
    ("created_at", (START + timedelta(minutes=10_000), 0)),
    ("title", None),
    ("-title", ("Title 090000", 2**40)),
]


@pytest.fixture(scope="module")
async def database(large_database: Database) -> Database:
    await fill(
        large_database,
        "posts",
        """
        WITH author AS (
            INSERT INTO users (email, display_name) VALUES ('ann@example.com', 'Ann') RETURNING id
        )
        INSERT INTO posts (author_id, title, body, created_at)
        SELECT id, 'Title ' || to_char(n, 'FM000000'),
            repeat('Lorem ipsum dolor sit amet. ', 15)
            || CASE WHEN n % 2 = 0 THEN 'Common' ELSE '' END
            || CASE WHEN n % 10000 = 5000 THEN 'Needle' ELSE '' END,
            CAST(:start AS timestamptz) + n * interval '1 minute'
        FROM author, generate_series(1, CAST(:posts AS int)) AS n
        """,
        start=START,
        posts=POSTS,
    )
    return large_database


def page(sort: str, after: Any) -> Search:
    async def search(session: AsyncSession, words: str) -> int:
        posts = await PostRepository(session).list_page(
            sort=sort, limit=21, viewer_id=None, after=after, text=words
        )
        return len(posts)

    return search


@pytest.mark.parametrize(("sort", "after"), SORTS)
@pytest.mark.parametrize("words", ["needle", "nobody wrote this"])
async def test_rare_text_is_found_by_the_index(
    database: Database, words: str, sort: str, after: Any
) -> None:
    blocks, plan = await cost(database, "posts", page(sort, after), words)

    assert "Bitmap Index Scan on ix_posts_title_body_trigrams" in plan, plan
    assert blocks < FEW


@pytest.mark.parametrize(("sort", "after"), SORTS)
@pytest.mark.parametrize("words", ["common", "title 0"])
async def test_common_text_is_found_in_the_order_of_the_list(
    database: Database, words: str, sort: str, after: Any
) -> None:
    blocks, plan = await cost(database, "posts", page(sort, after), words)

    column = sort.removeprefix("-")
    assert f"using ix_posts_{column}_id" in plan, plan
    assert blocks < FEW


@pytest.mark.parametrize("sort", ["-created_at", "title"])
async def test_other_searches_do_not_change_the_plan(database: Database, sort: str) -> None:
    await mislead(database, page(sort, None))

    assert (await cost(database, "posts", page(sort, None), "needle")).blocks < FEW
    assert (await cost(database, "posts", page(sort, None), "common")).blocks < FEW


async def test_table_is_large(database: Database) -> None:
    """Otherwise the other tests would show nothing."""
    async with database.read() as session:
        size = await session.scalar(text("SELECT pg_relation_size('posts') / 8192"))

    assert size > 50 * FEW
