from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field, SecretStr, StringConstraints

from app.core.types import Id, Text
from app.schemas.auth.password import Password
from app.schemas.base import ResponseBody

Secret = Annotated[SecretStr, Field(min_length=1, max_length=255)]


class TokenRequest(BaseModel):
    """The form of OAuth 2's password grant (RFC 6749, section 4.3.2); other fields are ignored.

    `username` is the e-mail address.
    """

    grant_type: Literal["password"] = "password"
    username: Annotated[Text, StringConstraints(min_length=1, max_length=255)]
    password: Password


class RefreshRequest(BaseModel):
    """The form of RFC 6749, section 6; other fields are ignored."""

    grant_type: Literal["refresh_token"] = "refresh_token"
    refresh_token: Secret


class LogoutRequest(BaseModel):
    """The refresh token of the session to end."""

    refresh_token: Secret


class TokenResponse(ResponseBody):
    """RFC 6749, section 5.1."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"
    expires_in: int = Field(description="Lifetime of the access token, in seconds.")
    refresh_token: str = Field(
        description="Use it once, at `/auth/refresh`, which returns the next one."
    )
    session_id: Id = Field(description="The id of this session in `/auth/sessions`.")


class SessionResponse(ResponseBody):
    """A device on which the caller is signed in."""

    id: Id
    address: str = Field(description="The IP address of its last use.")
    user_agent: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
