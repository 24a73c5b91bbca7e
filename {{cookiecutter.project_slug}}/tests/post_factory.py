from datetime import UTC, datetime
from typing import Any

from app.models.post import Post
from app.models.post_like import post_likes
from app.models.user import User
from tests.factories import Factory, unique_number


async def make_post(make: Factory, author: User | None = None, **values: Any) -> Post:
    """Write a post, of a new user if no author is given."""
    author = author or await make.user()
    number = unique_number()
    defaults = {"author_id": author.id, "title": f"Title {number}", "body": f"Body {number}"}
    return await make(Post(**defaults | values))


async def make_like(
    make: Factory, post: Post, user: User | None = None, at: datetime | None = None
) -> User:
    """Write a like of a post, of a new user if none is given, and return the user."""
    user = user or await make.user()
    values = {"post_id": post.id, "user_id": user.id, "created_at": at or datetime.now(UTC)}
    await make.insert(post_likes, values)
    return user
