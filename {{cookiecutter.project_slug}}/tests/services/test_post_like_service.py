"""Likes are data of the users who like, and of nobody else."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Database
from app.models.post_like import post_likes
from app.services.personal_data_service import PersonalDataService
from tests.factories import Factory
from tests.post_factory import make_like, make_post


async def test_likes_of_a_person_are_exported_and_erased_but_not_those_of_others(
    database: Database, make: Factory, session: AsyncSession
) -> None:
    ann, eve = await make.user(email="ann@example.com"), await make.user()
    theirs, own = await make_post(make, eve), await make_post(make, ann)
    await make_like(make, theirs, ann)
    await make_like(make, theirs, eve)
    await make_like(make, own, eve)

    async with database.read() as reading:
        found = await PersonalDataService(reading).export(ann.email)
    async with database.transaction() as writing:
        await PersonalDataService(writing).erase(ann.email)

    (like,) = found["post_likes"]
    assert (like["user_id"], like["post_id"]) == (ann.id, theirs.id)
    # Those of her post are gone with the post.
    left = (await session.scalars(select(post_likes.c.user_id))).all()
    assert left == [eve.id]
