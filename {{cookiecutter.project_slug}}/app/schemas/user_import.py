"""The import of users with their posts."""

from typing import Final

from pydantic import EmailStr, Field

from app.schemas.base import RequestBody, ResponseBody
from app.schemas.post import PostFields
from app.schemas.user import DisplayName

MAX_IMPORT: Final = 1000


class UserImportItem(RequestBody):
    """A user with the posts they bring along."""

    email: EmailStr
    display_name: DisplayName
    posts: list[PostFields] = Field(default=[], max_length=100)


class UserImport(RequestBody):
    """POST body of an import: all of it is written, or nothing."""

    users: list[UserImportItem] = Field(min_length=1, max_length=MAX_IMPORT)


class UserImportResponse(ResponseBody):
    """How many rows an import wrote."""

    users: int
    posts: int
