from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.database import Database
from app.core.security import create_access_token, read_access_token, verify_password
from app.exceptions import AuthenticationError
from app.models.user import User
from app.repositories.user_repo import UserRepository
from app.schemas.token import TokenResponse


class AuthService:
    """The rules of being signed in."""

    def __init__(self, session: AsyncSession, settings: Settings) -> None:
        self._users = UserRepository(session)
        self._settings = settings

    async def authenticate(self, token: str) -> User:
        """Return the active user whom an access token names. Raises `AuthenticationError`."""
        user = await self._users.get_by_id(read_access_token(token, self._settings))
        if user is None or not user.is_active:
            raise AuthenticationError("The account is gone or inactive")
        return user


class SignInService:
    """The rules of signing in.

    It opens its own session and closes it before the slow part: many who sign in at once wait
    for a core, and would hold every connection of the pool meanwhile.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    async def sign_in(self, email: str, password: SecretStr) -> TokenResponse:
        """Return an access token.

        Raises `AuthenticationError`, in the same words and after the same work, whether the
        account is unknown, inactive or without a password, or the password is wrong.
        """
        async with self._database.read() as session:
            user = await UserRepository(session).get_by_email(email)
        hashed_password = user.hashed_password if user and user.is_active else None
        if not await verify_password(password, hashed_password) or user is None:
            raise AuthenticationError("Wrong e-mail address or password")
        return TokenResponse(
            access_token=create_access_token(user.id, self._settings),
            expires_in=self._settings.access_token_minutes * 60,
        )
