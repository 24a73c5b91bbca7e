from datetime import datetime
from typing import Annotated, Final

from pydantic import (
    EmailStr,
    Field,
    # {% if cookiecutter.use_auth %}
    SecretStr,
    # {% endif %}
    StringConstraints,
)

from app.core.types import Trimmed, VisibleText
from app.schemas.base import PatchBody, RequestBody, ResponseBody
from app.schemas.post import PostFields

MAX_IMPORT: Final = 1000

DisplayName = Annotated[
    VisibleText,
    StringConstraints(min_length=1, max_length=100),
    Field(examples=["Ann"]),
    Trimmed,
]
# {% if cookiecutter.use_auth %}
Password = Annotated[SecretStr, Field(min_length=8, max_length=128)]
# {% endif %}


class UserCreate(RequestBody):
    """POST body."""

    email: EmailStr
    display_name: DisplayName
    # {% if cookiecutter.use_auth %}
    password: Password
    # {% endif %}


class UserPatch(PatchBody):
    """PATCH body."""

    email: EmailStr | None = None
    display_name: DisplayName | None = None
    # {% if cookiecutter.use_auth %}
    password: Password | None = None
    # {% endif %}


class UserResponse(ResponseBody):
    id: int
    email: str
    display_name: str
    is_active: bool
    # {% if cookiecutter.use_auth %}
    role: str
    # {% endif %}
    created_at: datetime
    updated_at: datetime


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
