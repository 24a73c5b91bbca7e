from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli.demo_data import seed
from app.core.database import Database
from app.models.post import Post
from app.models.post_like import post_likes


async def test_each_user_of_the_demo_has_posts(database: Database, session: AsyncSession) -> None:
    written = await seed(database)

    counts = select(func.count()).select_from(Post).group_by(Post.author_id)
    assert (await session.scalars(counts)).all() == [5] * 8
    assert written == {"users": 8, "posts": 40}


async def test_posts_of_the_demo_have_likes_of_others(
    database: Database, session: AsyncSession
) -> None:
    await seed(database)

    liked = select(func.count()).select_from(post_likes)
    by_post = (await session.scalars(liked.group_by(post_likes.c.post_id))).all()
    own = liked.join(Post).where(Post.author_id == post_likes.c.user_id)
    assert len(by_post) == 40
    assert len(set(by_post)) > 1
    assert await session.scalar(own) == 0
