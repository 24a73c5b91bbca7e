"""The import of users with their posts."""

from typing import Annotated, Final

from pydantic import EmailStr, FailFast, Field, model_validator
from pydantic_core import PydanticCustomError

from app.schemas.base import RequestBody, ResponseBody
from app.schemas.post import PostFields
from app.schemas.user import DisplayName

MAX_IMPORT: Final = 1000
MAX_IMPORTED_POSTS: Final = 2000  # of all users together


class UserImportItem(RequestBody):
    """A user with the posts they bring along."""

    email: EmailStr
    display_name: DisplayName
    posts: Annotated[list[PostFields], FailFast()] = Field(default=[], max_length=100)


class UserImport(RequestBody):
    """POST body of an import: all of it is written, or nothing. Validation ends at the first wrong user."""

    users: Annotated[list[UserImportItem], FailFast()] = Field(min_length=1, max_length=MAX_IMPORT)

    @model_validator(mode="before")
    @classmethod
    def limit_posts(cls, data: object) -> object:
        """Count the posts before they are validated, which takes far longer."""
        users = data.get("users") if isinstance(data, dict) else None
        if not isinstance(users, list) or len(users) > MAX_IMPORT:
            return data
        posts = [user.get("posts") for user in users if isinstance(user, dict)]
        number = sum(len(some) for some in posts if isinstance(some, list))
        if number > MAX_IMPORTED_POSTS:
            raise PydanticCustomError(
                "too_many_posts",
                "The users have {number} posts, more than {limit}: import them in parts",
                {"number": number, "limit": MAX_IMPORTED_POSTS},
            )
        return data


class UserImportResponse(ResponseBody):
    """How many rows an import wrote."""

    users: int
    posts: int
