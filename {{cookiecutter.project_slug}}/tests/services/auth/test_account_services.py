"""Services of accounts take values and return rows, so a project can change its request bodies."""

from collections.abc import Awaitable, Callable

import pytest
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.database.sessions import Database
from app.core.http.client_info import ClientInfo
from app.core.security.tokens import read_access_token
from app.exceptions import AuthenticationError, PermissionError, ValidationError
from app.models.user import User
from app.services.auth.auth_throttle import AuthThrottle
from app.services.auth.password_service import PasswordService
from app.services.auth.registration_service import RegistrationService
from app.services.auth.sign_in_service import SignInService
from tests.auth.accounts import EMAIL, NEW_PASSWORD, PASSWORD

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
    service = PasswordService(database, settings)

    with pytest.raises(PermissionError):
        await service.change(
            user, SecretStr("another pass phrase"), SecretStr(NEW_PASSWORD), CLIENT
        )
    with pytest.raises(ValidationError) as error:
        await service.change(user, SecretStr(PASSWORD), SecretStr("short"), CLIENT)
    tokens = await service.change(user, SecretStr(PASSWORD), SecretStr(NEW_PASSWORD), CLIENT)

    assert error.value.field == "new_password"
    assert read_access_token(tokens.access_token, settings).user_id == user.id
    assert await SignInService(database, settings).sign_in(EMAIL, SecretStr(NEW_PASSWORD), CLIENT)
