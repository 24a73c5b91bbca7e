from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.security.tokens import AccessToken, read_access_token
from app.exceptions import InvalidTokenError
from app.models.user import User
from app.repositories.auth.account_repo import AccountRepository

REVOKED: Final = "The access token has been revoked"


class AuthService:
    """Authentication by access token."""

    def __init__(self, session: AsyncSession, settings: Settings) -> None:
        self._accounts = AccountRepository(session)
        self._settings = settings

    async def authenticate(self, token: str) -> tuple[User, AccessToken]:
        """Return the active user of an access token, and its contents.

        Raises `InvalidTokenError` if the token is invalid, expired or revoked, which includes
        tokens of an earlier generation and of a session that has ended. Runs one statement.
        """
        contents = read_access_token(token, self._settings)
        user = await self._accounts.get_signed_in(contents.user_id, contents.session_id)
        if user is None or not user.is_active or user.token_generation != contents.generation:
            raise InvalidTokenError(REVOKED)
        return user, contents
