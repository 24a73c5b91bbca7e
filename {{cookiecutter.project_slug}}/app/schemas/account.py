"""Bodies of requests that create and change accounts."""

from typing import Any

from pydantic import EmailStr, Field

from app.schemas.auth.account import OneTimeTokenText
from app.schemas.auth.password import Password
from app.schemas.base import PatchBody, RequestBody
from app.schemas.user import DisplayName


class UserCreate(RequestBody):
    """POST body."""

    email: EmailStr
    display_name: DisplayName
    password: Password
    invitation: OneTimeTokenText | None = Field(
        default=None, description="The token of an invitation, if registration requires one."
    )


class UserPatch(PatchBody):
    """PATCH body."""

    email: EmailStr | None = None
    display_name: DisplayName | None = None
    current_password: Password | None = Field(
        default=None,
        description=(
            "Your own password. Required for changing your own e-mail address, and for changing "
            "another user's unless you have signed in recently."
        ),
    )

    def columns(self) -> dict[str, Any]:
        values = super().columns()
        values.pop("current_password", None)
        return values
