"""The owner of a new resource, in the body of a POST."""

from app.core.types import Id

# Required: callers are no users.
OwnerId = Id
