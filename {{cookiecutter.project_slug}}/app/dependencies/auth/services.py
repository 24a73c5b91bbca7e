"""Providers of the services for accounts and signing in."""

from functools import partial
from typing import Annotated

from fastapi import Depends

from app.core.http.problem_declarations import may_respond
from app.dependencies.auth.step_up import AccessTokenDep
from app.dependencies.caller import Caller, OptionalCaller
from app.dependencies.database import DatabaseDep, OpenSessionDep, SessionDep
from app.dependencies.settings import SettingsDep
from app.services.auth.access_service import AccessService
from app.services.auth.account_service import AccountService
from app.services.auth.auth_throttle import AuthThrottle
from app.services.auth.email_confirmation_service import EmailConfirmationService
from app.services.auth.email_service import EmailService
from app.services.auth.login_session_service import LoginSessionService
from app.services.auth.password_service import PasswordService
from app.services.auth.refresh_service import RefreshService
from app.services.auth.registration_service import RegistrationService
from app.services.auth.requested_mails import RequestedMails
from app.services.auth.sign_in_service import SignInService
from app.services.auth.step_up import require_fresh_sign_in


@may_respond(401, 429)
async def get_sign_in_service(database: DatabaseDep, settings: SettingsDep) -> SignInService:
    return SignInService(database, settings)


@may_respond(401)
async def get_refresh_service(database: DatabaseDep, settings: SettingsDep) -> RefreshService:
    return RefreshService(database, settings)


async def get_sign_out_service(database: DatabaseDep, settings: SettingsDep) -> RefreshService:
    """Return the service for signing out, which does not fail for a token that is not valid."""
    return RefreshService(database, settings)


async def get_login_session_service(
    caller: Caller, session: SessionDep, settings: SettingsDep
) -> LoginSessionService:
    return LoginSessionService(session, settings, caller)


@may_respond(429)
async def get_auth_throttle(database: DatabaseDep, settings: SettingsDep) -> AuthThrottle:
    return AuthThrottle(database, settings)


AuthThrottleDep = Annotated[AuthThrottle, Depends(get_auth_throttle)]


@may_respond(403, 429)
async def get_password_service(
    caller: Caller, database: DatabaseDep, settings: SettingsDep
) -> PasswordService:
    return PasswordService(database, settings, caller)


@may_respond(403, 429)
async def get_public_password_service(
    database: DatabaseDep, settings: SettingsDep
) -> PasswordService:
    return PasswordService(database, settings)


async def get_requested_mails(
    open_session: OpenSessionDep, throttle: AuthThrottleDep
) -> RequestedMails:
    return RequestedMails(open_session, throttle)


async def get_access_service(caller: Caller, session: SessionDep) -> AccessService:
    return AccessService(session, caller)


SignInServiceDep = Annotated[SignInService, Depends(get_sign_in_service)]
RefreshServiceDep = Annotated[RefreshService, Depends(get_refresh_service)]
SignOutServiceDep = Annotated[RefreshService, Depends(get_sign_out_service)]
LoginSessionServiceDep = Annotated[LoginSessionService, Depends(get_login_session_service)]
PasswordServiceDep = Annotated[PasswordService, Depends(get_password_service)]
PublicPasswordServiceDep = Annotated[PasswordService, Depends(get_public_password_service)]
RequestedMailsDep = Annotated[RequestedMails, Depends(get_requested_mails)]
AccessServiceDep = Annotated[AccessService, Depends(get_access_service)]


@may_respond(403)
async def get_registration_service(
    caller: OptionalCaller,
    open_session: OpenSessionDep,
    settings: SettingsDep,
    throttle: AuthThrottleDep,
) -> RegistrationService:
    return RegistrationService(open_session, caller, settings, throttle)


@may_respond(409)
async def get_email_confirmation_service(
    database: DatabaseDep, settings: SettingsDep, passwords: PublicPasswordServiceDep
) -> EmailConfirmationService:
    return EmailConfirmationService(database, settings, passwords)


RegistrationServiceDep = Annotated[RegistrationService, Depends(get_registration_service)]
EmailConfirmationServiceDep = Annotated[
    EmailConfirmationService, Depends(get_email_confirmation_service)
]


async def get_account_service(
    caller: Caller,
    session: SessionDep,
    settings: SettingsDep,
    passwords: PasswordServiceDep,
    access: AccessServiceDep,
    throttle: AuthThrottleDep,
    access_token: AccessTokenDep,
) -> AccountService:
    emails = EmailService(session, caller, settings, passwords, throttle)
    require_fresh = partial(require_fresh_sign_in, access_token, settings)
    return AccountService(session, caller, emails, access, passwords, require_fresh)


AccountServiceDep = Annotated[AccountService, Depends(get_account_service)]
