"""Posts to look at in development."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from app.schemas.post import PostFields
from app.services.post_like_service import PostLikeService
from app.services.post_service import PostService

_TOPICS: Final = ("indexes", "transactions", "migrations", "pagination", "back pressure")
_SENTENCE: Final = "What {name} learned about {topic} is best told slowly, and with examples. "


async def write(session: AsyncSession, users: Mapping[int, str]) -> int:
    """Write five posts for each user, and likes of other users, the same every time."""
    posts = [
        (
            user_id,
            PostFields(
                title=f"{name} on {topic}",
                body=_SENTENCE.format(name=name, topic=topic) * (number * 20),
            ),
        )
        for user_id, name in users.items()
        for number, topic in enumerate(_TOPICS, start=1)
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
