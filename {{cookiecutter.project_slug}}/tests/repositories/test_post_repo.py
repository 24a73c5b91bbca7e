from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.post_repo import Headline, PostRepository
from tests.factories import Factory
from tests.post_factory import make_post
from tests.repositories.scans import scanned_rows

START = datetime(2026, 1, 1, tzinfo=UTC)
POSTS = 5_000


@pytest.fixture
async def author_of_many(session: AsyncSession, make: Factory) -> int:
    """Write many posts of one author, with the oldest titled first, and return the author's id."""
    author = await make.user()
    await session.execute(
        text(
            "INSERT INTO posts (author_id, title, body, created_at) "
            "SELECT :author, 'Title ' || to_char(n, 'FM00000'), 'Body', "
            "CAST(:start AS timestamptz) + n * interval '1 minute' "
            "FROM generate_series(1, CAST(:posts AS int)) AS n"
        ),
        {"author": author.id, "start": START, "posts": POSTS},
    )
    await session.commit()
    await session.execute(text("ANALYZE posts"))
    return author.id


@pytest.mark.parametrize(
    ("sort", "after"),
    [
        ("-created_at", (START + timedelta(minutes=100), 2**40)),
        ("created_at", (START + timedelta(minutes=POSTS - 100), 0)),
        ("-title", ("Title 00100", 2**40)),
        ("title", (f"Title {POSTS - 100:05}", 0)),
    ],
)
async def test_deep_page_reads_as_few_rows_as_the_first(
    session: AsyncSession, author_of_many: int, sort: str, after: tuple[Any, int]
) -> None:
    repo = PostRepository(session)
    start = await scanned_rows(session, "posts")
    assert len(await repo.list_page(sort=sort, limit=20, viewer_id=None)) == 20
    first = await scanned_rows(session, "posts")
    assert len(await repo.list_page(sort=sort, limit=20, viewer_id=None, after=after)) == 20
    deep = await scanned_rows(session, "posts")

    assert first - start <= 21
    assert deep - first <= 21


async def test_deep_page_of_an_author_reads_as_few_rows_as_the_first(
    session: AsyncSession, author_of_many: int
) -> None:
    repo = PostRepository(session)
    start = await scanned_rows(session, "posts")
    after = (START + timedelta(minutes=100), 2**40)
    posts = await repo.list_page(
        sort="-created_at", limit=20, viewer_id=None, after=after, author_id=author_of_many
    )

    assert len(posts) == 20
    assert await scanned_rows(session, "posts") - start <= 21


async def test_author_is_loaded_only_where_it_is_asked_for(
    session: AsyncSession, make: Factory
) -> None:
    post_id = (await make_post(make)).id
    repo = PostRepository(session)
    session.expunge_all()

    viewed = await repo.get_by_id(post_id, None)
    assert viewed is not None
    for plain in (viewed.post, await repo.get_for_update(post_id)):
        assert plain is not None
        with pytest.raises(InvalidRequestError, match="raise"):
            _ = plain.author
    session.expunge_all()
    (complete,) = await repo.list_page(sort="title", limit=2, viewer_id=None, with_author=True)

    assert complete.post.author.display_name.startswith("User")


async def test_headline_names_the_author(session: AsyncSession, make: Factory) -> None:
    post = await make_post(make, await make.user(display_name="Ann"), title="Hello")
    repo = PostRepository(session)

    assert await repo.get_headline(post.id) == Headline(post.id, "Hello", "Ann")
    assert await repo.get_headline(2**40) is None
