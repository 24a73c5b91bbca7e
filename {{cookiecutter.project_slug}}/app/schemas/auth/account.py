"""Bodies of requests about passwords and e-mail addresses."""

from typing import Annotated

from pydantic import EmailStr, Field, StringConstraints

from app.core.types import Text
from app.schemas.auth.password import Password
from app.schemas.base import RequestBody, ResponseBody

# Text, not SecretStr: it is compared by its digest, and never logged.
OneTimeToken = Annotated[
    Text,
    StringConstraints(min_length=1, max_length=100),
    Field(description="What the mail's link holds."),
]


class PasswordChange(RequestBody):
    """POST body."""

    current_password: Password
    new_password: Password


class MailRequest(RequestBody):
    """POST body: where the mail shall go, if there is an account with this address."""

    email: EmailStr


class PasswordReset(RequestBody):
    """POST body."""

    token: OneTimeToken
    new_password: Password


class EmailVerification(RequestBody):
    """POST body."""

    token: OneTimeToken


class InvitationRequest(RequestBody):
    """POST body: who shall be able to register."""

    email: EmailStr


class MailResponse(ResponseBody):
    """The answer is the same whether or not there is such an account."""

    detail: str = "If this address can receive such a mail, it is on its way"
