from typing import Annotated, Literal

from pydantic import BaseModel, Field, SecretStr, StringConstraints

from app.core.types import Text


class TokenRequest(BaseModel):
    """The form of OAuth 2's password grant (RFC 6749, section 4.3.2); other fields are ignored.

    `username` is the e-mail address.
    """

    grant_type: Literal["password"] = "password"
    username: Annotated[Text, StringConstraints(max_length=255)]
    password: Annotated[SecretStr, Field(max_length=128)]


class TokenResponse(BaseModel):
    """RFC 6749, section 5.1."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"
    expires_in: int = Field(description="Seconds for which the token is good.")
