"""Posts to look at in development."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from app.schemas.post import PostFields
from app.services.post_like_service import PostLikeService
from app.services.post_service import PostService

_TOPICS: Final = ("indexes", "transactions", "migrations", "pagination", "back pressure")
_PARAGRAPHS: Final = (
    "{name} first looked into {topic} because a page took four seconds. The query was short and the table"
    " was small, so nobody had suspected it. Half an hour with EXPLAIN told a different story, and the"
    " rest of the week went into understanding why.",
    "The documentation explains {topic} in two pages, and both are worth reading twice. What they leave"
    " out is what happens under load: a change that looks harmless at ten requests a second may hold"
    " everybody up at a thousand.",
    "So {name} wrote a small benchmark. It ran the old way and the new way in turns, because a machine is"
    " never equally busy, and compared medians instead of averages. The difference was smaller than"
    " expected, and it was there every time.",
    "Then came the objections. {topic_} had been done in another way for years, and every test was green."
    " A second benchmark with two clients at once settled that: one of them lost its write, and no test"
    " had ever tried.",
    "What is left is a short checklist: measure first, change one thing, and measure again. Write down"
    " what was tried in vain. {name} keeps the notes on {topic} next to the code, where the next reader"
    " will look for them.",
)


async def write(session: AsyncSession, users: Mapping[int, str]) -> int:
    """Write five posts for each user, of one paragraph to five, and likes of other users: the same every time."""
    posts = [
        (
            user_id,
            PostFields(
                title=f"{name} on {topic}",
                body="\n\n".join(_PARAGRAPHS[:paragraphs]).format(
                    name=name, topic=topic, topic_=topic.capitalize()
                ),
            ),
        )
        for user_id, name in users.items()
        for paragraphs, topic in enumerate(_TOPICS, start=1)
    ]
    service = PostService(session)
    await service.import_posts(posts)
    page = await service.list_posts(
        sort="title", limit=len(posts), cursor=None, author_id=None, text=None
    )
    likes = [
        (found.post.id, user_id)
        for number, found in enumerate(page.items)
        for place, user_id in enumerate(users)
        if (number * number + place) % 5 < 2 and user_id != found.post.author_id
    ]
    await PostLikeService(session).import_likes(likes)
    return len(posts)
