"""What likes cost: a page of posts reads those of its posts alone, and a page of likes ends early."""

from typing import Final

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.post_like_repo import PostLikeRepository
from app.repositories.post_repo import PostRepository
from tests.factories import Factory
from tests.repositories.scans import scanned_rows

USERS: Final = 3000
POSTS: Final = 500
LIKES: Final = 5  # of each post but the first, which every user likes


@pytest.fixture
async def first_post(session: AsyncSession, make: Factory) -> int:
    """Write many posts with likes, and return the id of the oldest, which has the most."""
    author = await make.user()
    values = {"author": author.id, "users": USERS, "posts": POSTS, "likes": LIKES}
    for statement in (
        "INSERT INTO users (email, display_name) SELECT 'liker' || n || '@example.com', 'Liker ' || n "
        "FROM generate_series(1, CAST(:users AS int)) AS n",
        "INSERT INTO posts (author_id, title, body, created_at) "
        "SELECT :author, 'Title ' || n, 'Body', now() + n * interval '1 minute' "
        "FROM generate_series(1, CAST(:posts AS int)) AS n",
        "INSERT INTO post_likes (post_id, user_id) SELECT posts.id, users.id FROM posts, users "
        "WHERE users.email LIKE 'liker%' AND (posts.title = 'Title 1' "
        "OR (users.id + posts.id) % CAST(:users AS int) < CAST(:likes AS int))",
    ):
        await session.execute(text(statement), values)
    await session.commit()
    await session.execute(text("ANALYZE users, posts, post_likes"))
    return int((await session.execute(text("SELECT min(id) FROM posts"))).scalar_one())


@pytest.mark.parametrize("sort", ["-created_at", "title"])
async def test_page_of_posts_reads_the_likes_of_its_posts_alone(
    session: AsyncSession, first_post: int, sort: str
) -> None:
    start = await scanned_rows(session, "post_likes")

    found = await PostRepository(session).list_page(
        sort=sort,
        limit=20,
        viewer_id=first_post,
        after=("Title 2", 2**40) if sort == "title" else None,
    )

    assert [one.like_count for one in found] == [LIKES] * 20
    # Each of them once for the count, and the viewer's for the flag.
    assert await scanned_rows(session, "post_likes") - start <= 20 * (LIKES + 1)


async def test_page_of_likes_reads_its_users_alone_and_counts_once(
    session: AsyncSession, first_post: int
) -> None:
    users = await scanned_rows(session, "users")
    likes = await scanned_rows(session, "post_likes")

    found = await PostLikeRepository(session).list_page(first_post, limit=20, skipped=40)

    assert found is not None
    page, total = found
    assert (len(page), total) == (20, USERS)
    # A few more, because the planner looks up the largest key.
    assert await scanned_rows(session, "users") - users < 40
    assert await scanned_rows(session, "post_likes") - likes < 2 * USERS
