"""Changing a password, and resetting it by mail."""

from fastapi import APIRouter, Response, status

from app.core.http.edge import EdgeRoute
from app.dependencies.auth.client import ClientDep
from app.dependencies.auth.outbox import OutboxDep
from app.dependencies.auth.services import AuthThrottleDep, PasswordServiceDep, RequestedMailsDep
from app.dependencies.caller import Caller
from app.schemas.auth.account import MailRequest, MailResponse, PasswordChange, PasswordReset
from app.schemas.auth.token import TokenResponse

router = APIRouter(prefix="/auth", tags=["Auth"], route_class=EdgeRoute)


@router.post("/password")
async def change_password(
    data: PasswordChange,
    caller: Caller,
    passwords: PasswordServiceDep,
    client: ClientDep,
    outbox: OutboxDep,
    response: Response,
) -> TokenResponse:
    """Change your password. Ends all sessions, and returns the tokens of a new one."""
    response.headers["Cache-Control"] = "no-store"
    tokens, mail = await passwords.change(caller, data.current_password, data.new_password, client)
    outbox.add(mail)
    return TokenResponse.model_validate(tokens)


@router.post("/password-reset", status_code=status.HTTP_202_ACCEPTED)
async def request_password_reset(
    data: MailRequest,
    throttle: AuthThrottleDep,
    mails: RequestedMailsDep,
    client: ClientDep,
    outbox: OutboxDep,
) -> MailResponse:
    """Request a mail with a link for setting a new password.

    The account is looked up after the response, so that neither its content nor its time reveals
    whether there is one.
    """
    await throttle.count_mail_request("password_reset", data.email, client)
    outbox.add_deferred(mails.create_mail, data.email, "password_reset", client)
    return MailResponse()


@router.post("/password-reset/confirm", status_code=status.HTTP_204_NO_CONTENT)
async def confirm_password_reset(
    data: PasswordReset, passwords: PasswordServiceDep, client: ClientDep, outbox: OutboxDep
) -> None:
    """Set a new password by the token of a mail. Ends all sessions."""
    outbox.add(await passwords.reset(data.token, data.new_password, client))
