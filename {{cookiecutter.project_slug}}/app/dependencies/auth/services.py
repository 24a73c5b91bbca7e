"""The services of signing in and of accounts."""

from typing import Annotated

from fastapi import Depends, Request

from app.dependencies.auth.outbox import OutboxDep
from app.dependencies.database import DatabaseDep, SessionDep
from app.services.auth.access_service import AccessService
from app.services.auth.auth_throttle import AuthThrottle
from app.services.auth.email_service import EmailService
from app.services.auth.login_session_service import LoginSessionService
from app.services.auth.one_time_token_service import OneTimeTokenService, RequestedMails
from app.services.auth.password_service import PasswordService
from app.services.auth.refresh_service import RefreshService
from app.services.auth.sign_in_service import SignInService
from app.services.registration_service import RegistrationService


async def get_sign_in_service(request: Request, database: DatabaseDep) -> SignInService:
    return SignInService(database, request.app.state.settings)


async def get_refresh_service(request: Request, database: DatabaseDep) -> RefreshService:
    return RefreshService(database, request.app.state.settings)


async def get_login_session_service(request: Request, session: SessionDep) -> LoginSessionService:
    return LoginSessionService(session, request.app.state.settings)


async def get_auth_throttle(request: Request, database: DatabaseDep) -> AuthThrottle:
    return AuthThrottle(database, request.app.state.settings)


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
LoginSessionServiceDep = Annotated[LoginSessionService, Depends(get_login_session_service)]
AuthThrottleDep = Annotated[AuthThrottle, Depends(get_auth_throttle)]
PasswordServiceDep = Annotated[PasswordService, Depends(get_password_service)]
OneTimeTokenServiceDep = Annotated[OneTimeTokenService, Depends(get_one_time_token_service)]
RequestedMailsDep = Annotated[RequestedMails, Depends(get_requested_mails)]
AccessServiceDep = Annotated[AccessService, Depends(get_access_service)]


async def get_registration_service(
    request: Request, session: SessionDep, attempts: AuthThrottleDep, outbox: OutboxDep
) -> RegistrationService:
    return RegistrationService(session, request.app.state.settings, attempts, outbox.add)


async def get_email_service(
    request: Request, session: SessionDep, passwords: PasswordServiceDep, outbox: OutboxDep
) -> EmailService:
    return EmailService(session, request.app.state.settings, passwords, outbox.add)


RegistrationServiceDep = Annotated[RegistrationService, Depends(get_registration_service)]
EmailServiceDep = Annotated[EmailService, Depends(get_email_service)]
