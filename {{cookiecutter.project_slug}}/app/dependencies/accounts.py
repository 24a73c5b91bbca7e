"""The services of signing in and of accounts."""

from typing import Annotated

from fastapi import Depends, Request

from app.dependencies.database import DatabaseDep, SessionDep
from app.dependencies.outbox import OutboxDep
from app.services.access_service import AccessService
from app.services.attempts import Attempts
from app.services.email_service import EmailService
from app.services.one_time_token_service import OneTimeTokenService, RequestedMails
from app.services.password_service import PasswordService
from app.services.refresh_service import RefreshService
from app.services.registration_service import RegistrationService
from app.services.session_service import SessionService
from app.services.sign_in_service import SignInService


async def get_sign_in_service(request: Request, database: DatabaseDep) -> SignInService:
    return SignInService(database, request.app.state.settings)


async def get_refresh_service(request: Request, database: DatabaseDep) -> RefreshService:
    return RefreshService(database, request.app.state.settings)


async def get_session_service(request: Request, session: SessionDep) -> SessionService:
    return SessionService(session, request.app.state.settings)


async def get_attempts(request: Request, database: DatabaseDep) -> Attempts:
    return Attempts(database, request.app.state.settings)


async def get_password_service(request: Request, database: DatabaseDep) -> PasswordService:
    return PasswordService(database, request.app.state.settings)


async def get_one_time_token_service(request: Request, session: SessionDep) -> OneTimeTokenService:
    return OneTimeTokenService(session, request.app.state.settings)


async def get_requested_mails(request: Request, database: DatabaseDep) -> RequestedMails:
    return RequestedMails(database, request.app.state.settings)


async def get_access_service(request: Request, session: SessionDep) -> AccessService:
    return AccessService(session, request.app.state.settings)


SignInServiceDep = Annotated[SignInService, Depends(get_sign_in_service)]
RefreshServiceDep = Annotated[RefreshService, Depends(get_refresh_service)]
SessionServiceDep = Annotated[SessionService, Depends(get_session_service)]
AttemptsDep = Annotated[Attempts, Depends(get_attempts)]
PasswordServiceDep = Annotated[PasswordService, Depends(get_password_service)]
OneTimeTokenServiceDep = Annotated[OneTimeTokenService, Depends(get_one_time_token_service)]
RequestedMailsDep = Annotated[RequestedMails, Depends(get_requested_mails)]
AccessServiceDep = Annotated[AccessService, Depends(get_access_service)]


async def get_registration_service(
    request: Request, session: SessionDep, attempts: AttemptsDep, outbox: OutboxDep
) -> RegistrationService:
    return RegistrationService(session, request.app.state.settings, attempts, outbox.add)


async def get_email_service(
    request: Request, session: SessionDep, passwords: PasswordServiceDep, outbox: OutboxDep
) -> EmailService:
    return EmailService(session, request.app.state.settings, passwords, outbox.add)


RegistrationServiceDep = Annotated[RegistrationService, Depends(get_registration_service)]
EmailServiceDep = Annotated[EmailService, Depends(get_email_service)]
