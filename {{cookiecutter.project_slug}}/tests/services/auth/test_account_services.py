"""Services of accounts take values and return rows, so a project can change its request bodies."""

from collections.abc import Awaitable, Callable

import pytest
from pydantic import SecretStr
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.database.sessions import Database
from app.core.http.client_info import ClientInfo
from app.core.security.tokens import read_access_token
from app.exceptions import AuthenticationError, PermissionError, ValidationError
from app.models.user import User
from app.services.auth.access_service import AccessService
from app.services.auth.auth_throttle import AuthThrottle
from app.services.auth.email_service import EmailService
from app.services.auth.password_service import PasswordService
from app.services.auth.registration_service import RegistrationService
from app.services.auth.sign_in_service import SignInService
from app.services.user_service import UserService
from tests.auth.accounts import EMAIL, NEW_PASSWORD, PASSWORD
from tests.factories import Factory

CLIENT = ClientInfo("192.0.2.1", "a client")

Register = Callable[..., Awaitable[User | None]]


@pytest.fixture
def register(database: Database, session: AsyncSession, settings: Settings) -> Register:
    async def open_session() -> AsyncSession:
        return session

    service = RegistrationService(open_session, None, settings, AuthThrottle(database, settings))

    async def register_ann(**values: object) -> User | None:
        given = {
            "email": EMAIL,
            "display_name": "Ann",
            "password": SecretStr(PASSWORD),
            "invitation": None,
            "client": CLIENT,
        }
        user = await service.register(**given | values)  # type: ignore[arg-type]
        await session.commit()
        return user

    return register_ann


async def test_registration_takes_values_and_returns_the_user(register: Register) -> None:
    user = await register()

    assert user is not None
    assert (user.email, user.display_name, user.role) == (EMAIL, "Ann", "user")
    assert user.hashed_password
    assert PASSWORD not in user.hashed_password


async def test_registration_asks_the_password_policy_and_names_the_field(
    register: Register,
) -> None:
    with pytest.raises(ValidationError, match="at least 8 characters") as error:
        await register(password=SecretStr("short"))

    assert (error.value.field, error.value.kind) == ("password", "string_too_short")


async def test_sign_in_returns_the_user_and_their_tokens(
    database: Database, settings: Settings, register: Register
) -> None:
    registered = await register()
    service = SignInService(database, settings)

    signed_in = await service.sign_in(EMAIL.upper(), SecretStr(PASSWORD), CLIENT)

    assert registered is not None
    assert signed_in.user.id == registered.id
    claims = read_access_token(signed_in.tokens.access_token, settings)
    assert claims.user_id == registered.id
    assert signed_in.tokens.expires_in == settings.access_token_minutes * 60
    with pytest.raises(AuthenticationError):
        await service.sign_in(EMAIL, SecretStr("another pass phrase"), CLIENT)


async def test_password_change_takes_values_and_returns_tokens_and_a_mail(
    database: Database, settings: Settings, register: Register
) -> None:
    user = await register()
    assert user is not None
    service = PasswordService(database, settings, user)

    with pytest.raises(PermissionError):
        await service.change(SecretStr("another pass phrase"), SecretStr(NEW_PASSWORD), CLIENT)
    with pytest.raises(ValidationError) as error:
        await service.change(SecretStr(PASSWORD), SecretStr("short"), CLIENT)
    tokens = await service.change(SecretStr(PASSWORD), SecretStr(NEW_PASSWORD), CLIENT)

    assert error.value.field == "new_password"
    assert read_access_token(tokens.access_token, settings).user_id == user.id
    assert await SignInService(database, settings).sign_in(EMAIL, SecretStr(NEW_PASSWORD), CLIENT)


async def read_before(session: AsyncSession, user: User, **changes: object) -> User:
    """Return a user as a request has read them, whose row was changed by another one since."""
    await session.refresh(user)
    session.expunge(user)
    await session.execute(update(User).where(User.id == user.id).values(changes))
    return user


async def test_current_address_takes_no_place_of_one_that_was_confirmed_meanwhile(
    database: Database, session: AsyncSession, settings: Settings, make: Factory
) -> None:
    """It needs no password, because it only cancels a change."""
    caller = await read_before(session, await make.user(email=EMAIL), email="new@example.org")
    settings = settings.model_copy(update={"mail_delivery": "smtp"})
    throttle = AuthThrottle(database, settings)
    emails = EmailService(session, caller, settings, PasswordService(database, settings), throttle)

    change = await emails.authorize_change(caller.id, {"email": EMAIL}, None, CLIENT)
    user = await UserService(session, caller).update_user(caller.id, change.values, None)

    assert user.email == "new@example.org"


async def test_administrator_who_was_demoted_meanwhile_deletes_nobody_else(
    session: AsyncSession, make: Factory
) -> None:
    await make.user(role="admin")
    other = await make.user()
    caller = await read_before(session, await make.user(role="admin"), role="user")
    access = AccessService(session, caller)

    with pytest.raises(PermissionError):
        await access.authorize_deletion(other.id)
    await access.authorize_deletion(caller.id)
