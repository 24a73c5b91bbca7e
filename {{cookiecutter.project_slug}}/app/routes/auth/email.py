"""Confirming an e-mail address by mail."""

from fastapi import APIRouter, status

from app.core.http.edge import EdgeRoute
from app.dependencies.auth.client import ClientDep
from app.dependencies.auth.outbox import OutboxDep
from app.dependencies.auth.services import (
    AuthThrottleDep,
    EmailConfirmationServiceDep,
    RequestedMailsDep,
)
from app.schemas.auth.account import EmailVerification, MailRequest, MailResponse

router = APIRouter(prefix="/auth", tags=["Auth"], route_class=EdgeRoute)


@router.post("/verify-email", status_code=status.HTTP_202_ACCEPTED)
async def request_email_verification(
    data: MailRequest,
    throttle: AuthThrottleDep,
    mails: RequestedMailsDep,
    client: ClientDep,
    outbox: OutboxDep,
) -> MailResponse:
    """Request another mail for verifying an address."""
    await throttle.count_mail_request("verify_email", data.email, client)
    outbox.add_deferred(mails.create_mail, data.email, "verify_email", client)
    return MailResponse()


@router.post("/verify-email/confirm", status_code=status.HTTP_204_NO_CONTENT)
async def confirm_email_verification(
    data: EmailVerification,
    emails: EmailConfirmationServiceDep,
    client: ClientDep,
    outbox: OutboxDep,
) -> None:
    """Confirm an e-mail address by the token of a mail and the password of the account.

    It is that of the account, or the new one for which a change was asked.
    """
    mail = await emails.confirm(data.token, data.password, client)
    if mail:
        outbox.add(mail)
