"""Changing a password, and resetting it by mail."""

from fastapi import APIRouter, Response, status

from app.core.http.edge import EdgeRoute
from app.dependencies.auth.client import ClientDep
from app.dependencies.auth.services import (
    PasswordServiceDep,
    PublicPasswordServiceDep,
    RequestedMailsDep,
)
from app.schemas.auth.account import MailRequest, MailResponse, PasswordChange, PasswordReset
from app.schemas.auth.token import TokenResponse

router = APIRouter(prefix="/auth", tags=["Auth"], route_class=EdgeRoute)


@router.post("/password")
async def change_password(
    data: PasswordChange, passwords: PasswordServiceDep, client: ClientDep, response: Response
) -> TokenResponse:
    """Change your password. Ends all sessions, and returns the tokens of a new one."""
    response.headers["Cache-Control"] = "no-store"
    tokens = await passwords.change(data.current_password, data.new_password, client)
    return TokenResponse.model_validate(tokens)


@router.post("/password-reset", status_code=status.HTTP_202_ACCEPTED)
async def request_password_reset(
    data: MailRequest, mails: RequestedMailsDep, client: ClientDep
) -> MailResponse:
    """Request a mail with a link for setting a new password.

    The account is looked up by the job that sends the mail, so that neither the content nor the time
    of the response reveals whether there is one.
    """
    await mails.request(data.email, "password_reset", client)
    return MailResponse()


@router.post("/password-reset/confirm", status_code=status.HTTP_204_NO_CONTENT)
async def confirm_password_reset(
    data: PasswordReset, passwords: PublicPasswordServiceDep, client: ClientDep
) -> None:
    """Set a new password by the token of a mail. Ends all sessions."""
    await passwords.reset(data.token, data.new_password, client)
