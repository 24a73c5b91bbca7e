"""Bodies of requests about passwords, e-mail addresses and invitations."""

from typing import Annotated

from pydantic import EmailStr, Field, StringConstraints

from app.core.types import Text
from app.schemas.auth.password import Password
from app.schemas.base import RequestBody, ResponseBody

# Not a SecretStr, because it is looked up by its digest and never logged.
OneTimeTokenText = Annotated[
    Text,
    StringConstraints(min_length=1, max_length=100),
    Field(description="The token in the link of the mail."),
]
OneTimeToken = OneTimeTokenText  # the name until 0.4, for projects that import it; goes in 0.6


class PasswordChange(RequestBody):
    """POST body."""

    current_password: Password
    new_password: Password


class MailRequest(RequestBody):
    """POST body: the address of an account."""

    email: EmailStr


class PasswordReset(RequestBody):
    """POST body."""

    token: OneTimeTokenText
    new_password: Password


class EmailVerification(RequestBody):
    """POST body."""

    token: OneTimeTokenText
    password: Annotated[Password, Field(description="The password of the account.")]


class InvitationRequest(RequestBody):
    """POST body: the address to invite."""

    email: EmailStr


class MailResponse(ResponseBody):
    """The response, which does not depend on whether there is an account."""

    detail: str = "If this address can receive such a mail, it is on its way"
