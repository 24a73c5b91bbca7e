from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli.demo_data import seed
from app.core.database import Database
from app.models.post import Post


async def test_each_user_of_the_demo_has_posts(database: Database, session: AsyncSession) -> None:
    written = await seed(database)

    counts = select(func.count()).select_from(Post).group_by(Post.author_id)
    assert (await session.scalars(counts)).all() == [5] * 8
    assert written == {"users": 8, "posts": 40}
