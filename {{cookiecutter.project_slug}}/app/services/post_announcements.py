import logging
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.post_repo import PostRepository

_logger: Final = logging.getLogger(__name__)


class PostAnnouncements:
    """Announces new posts: here, by a line in the log."""

    def __init__(self, session: AsyncSession) -> None:
        self._posts = PostRepository(session)

    async def announce(self, post_id: int) -> None:
        """Announce a post, unless it has been deleted meanwhile."""
        post = await self._posts.get_headline(post_id)
        if post is None:
            _logger.info("post %s was deleted before it could be announced", post_id)
        else:
            _logger.info("post %s by %s: %s", post.id, post.author, post.title)
