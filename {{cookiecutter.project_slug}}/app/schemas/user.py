from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from app.core.types import Id, SearchText, Trimmed, Visible

# {%- if cookiecutter.use_auth +%}
from app.schemas.auth.access import Role

# {%- endif +%}
from app.schemas.base import ResponseBody
from app.schemas.page import PageQuery

DisplayName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=100),
    Field(examples=["Ann"]),
    Visible(one_line=True),
    Trimmed,
]


class UserResponse(ResponseBody):
    id: Id
    email: str
    display_name: str
    is_active: bool
    # {% if cookiecutter.use_auth %}
    role: Role
    is_email_verified: bool
    pending_email: str | None = Field(
        description="A new address, which replaces `email` once it is confirmed by mail."
    )
    # {% endif %}
    created_at: datetime
    updated_at: datetime


class UserQuery(PageQuery):
    """Query parameters of the list of users."""

    text: SearchText | None = Field(
        default=None, alias="q", description="Only users with this text in address or name."
    )
    is_active: bool | None = Field(default=None, description="Only active or only inactive users.")
    # {% if cookiecutter.use_auth %}
    role: Role | None = Field(default=None, description="Only users with this role.")
    # {% endif %}
