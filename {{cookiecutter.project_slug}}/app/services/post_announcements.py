"""Background work after a request."""

import logging
from typing import Final

from app.core.database import Database
from app.exceptions import UnavailableError, explain
from app.repositories.post_repo import PostRepository

_logger: Final = logging.getLogger(__name__)


async def announce_post(database: Database, post_id: int) -> None:
    """Log that a post was published.

    Runs after the response, and so after the commit, in a session of its own. An unavailable
    database is logged, because the client has its response already.
    """
    try:
        async with database.read() as session:
            post = await PostRepository(session).get_headline(post_id)
    except UnavailableError as error:
        _logger.warning("post %s was not announced: %s", post_id, explain(error))
        return
    if post is None:
        _logger.info("post %s was deleted before it could be announced", post_id)
    else:
        _logger.info("post %s by %s: %s", post.id, post.author, post.title)
