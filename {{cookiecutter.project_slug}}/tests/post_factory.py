from typing import Any

from app.models.post import Post
from app.models.user import User
from tests.factories import Factory, unique_number


async def make_post(make: Factory, author: User | None = None, **values: Any) -> Post:
    """Write a post, of a new user if no author is given."""
    author = author or await make.user()
    number = unique_number()
    defaults = {"author_id": author.id, "title": f"Title {number}", "body": f"Body {number}"}
    return await make(Post(**defaults | values))
