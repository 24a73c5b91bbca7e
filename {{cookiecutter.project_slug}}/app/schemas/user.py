from datetime import datetime
from typing import Annotated, Final

from pydantic import EmailStr, Field, StringConstraints

from app.core.types import Text, Trimmed, VisibleText

# {%- if cookiecutter.use_auth +%}
from app.schemas.auth.access import Role

# {%- endif +%}
from app.schemas.base import RequestBody, ResponseBody
from app.schemas.page import PageQuery
from app.schemas.post import PostFields

MAX_IMPORT: Final = 1000

DisplayName = Annotated[
    VisibleText, StringConstraints(min_length=1, max_length=100), Field(examples=["Ann"]), Trimmed
]


class UserResponse(ResponseBody):
    id: int
    email: str
    display_name: str
    is_active: bool
    # {% if cookiecutter.use_auth %}
    role: Role
    is_email_verified: bool
    # {% endif %}
    created_at: datetime
    updated_at: datetime


class UserQuery(PageQuery):
    """Query parameters of the list of users."""

    text: Text | None = Field(
        default=None,
        alias="q",
        min_length=1,
        max_length=100,
        description="Only with this text in address or name.",
    )
    is_active: bool | None = Field(default=None, description="Only active, or only others.")
    # {% if cookiecutter.use_auth %}
    role: Role | None = Field(default=None, description="Only users with this role.")
    # {% endif %}


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
