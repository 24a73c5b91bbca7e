"""The owner of a new resource, in the body of a POST."""

from app.core.types import Id

# Required, because callers are not users.
OwnerId = Id
