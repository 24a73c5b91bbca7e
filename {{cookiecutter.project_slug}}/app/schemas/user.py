from datetime import datetime
from typing import Annotated, Any

from pydantic import EmailStr, Field, StringConstraints

from app.core.types import Text, Trimmed, VisibleText

# {%- if cookiecutter.use_auth +%}
from app.schemas.auth.account import OneTimeToken, Role
from app.schemas.auth.password import Password

# {%- endif +%}
from app.schemas.base import PatchBody, RequestBody, ResponseBody
from app.schemas.page import PageQuery

DisplayName = Annotated[
    VisibleText,
    StringConstraints(min_length=1, max_length=100),
    Field(examples=["Ann"]),
    Trimmed,
]


class UserCreate(RequestBody):
    """POST body."""

    email: EmailStr
    display_name: DisplayName
    # {% if cookiecutter.use_auth %}
    password: Password
    invitation: OneTimeToken | None = Field(
        default=None, description="What the link of an invitation holds, if one is needed."
    )
    # {% endif %}


class UserPatch(PatchBody):
    """PATCH body."""

    email: EmailStr | None = None
    display_name: DisplayName | None = None
    # {% if cookiecutter.use_auth %}
    current_password: Password | None = Field(
        default=None, description="Required of callers who change their own e-mail address."
    )

    def columns(self) -> dict[str, Any]:
        values = super().columns()
        values.pop("current_password", None)
        return values

    # {% endif %}


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
