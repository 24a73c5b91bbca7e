"""Confirming an e-mail address by mail."""

from fastapi import APIRouter, status

from app.core.http.edge import EdgeRoute
from app.dependencies.auth.client import ClientDep
from app.dependencies.auth.services import EmailConfirmationServiceDep, RequestedMailsDep
from app.schemas.auth.account import EmailVerification, MailRequest, MailResponse

router = APIRouter(prefix="/auth", tags=["Auth"], route_class=EdgeRoute)


@router.post("/verify-email", status_code=status.HTTP_202_ACCEPTED)
async def request_email_verification(
    data: MailRequest, mails: RequestedMailsDep, client: ClientDep
) -> MailResponse:
    """Request another mail for verifying an address."""
    await mails.request(data.email, "verify_email", client)
    return MailResponse()


@router.post("/verify-email/confirm", status_code=status.HTTP_204_NO_CONTENT)
async def confirm_email_verification(
    data: EmailVerification, emails: EmailConfirmationServiceDep, client: ClientDep
) -> None:
    """Confirm an e-mail address by the token of a mail and the password of the account.

    The address is the account's, or the new one that was requested.
    """
    await emails.confirm(data.token, data.password, client)
