"""The tables. Importing this package registers all of them on `Base.metadata`."""

from app.models.base import Base
from app.models.idempotency_key import IdempotencyKey
from app.models.post import Post
from app.models.user import User

# One to a line, so that lines which others add merge.
__all__ = [
    "Base",
    "IdempotencyKey",
    "Post",
    "User",
]
