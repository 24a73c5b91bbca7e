"""The tables. Importing this package registers them on `Base.metadata`."""

from app.core.database.metadata import metadata as metadata
from app.models.accounts import User as User
from app.models.base import Base as Base
from app.models.idempotency_key import IdempotencyKey as IdempotencyKey
from app.models.post import Post as Post
