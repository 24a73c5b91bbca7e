from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.security.tokens import read_access_token
from app.exceptions import InvalidTokenError
from app.models.user import User
from app.repositories.user_repo import UserRepository


class AuthService:
    """Authentication by access token."""

    def __init__(self, session: AsyncSession, settings: Settings) -> None:
        self._users = UserRepository(session)
        self._settings = settings

    async def authenticate(self, token: str) -> User:
        """Return the active user of an access token.

        Raises `InvalidTokenError` if the token is invalid, expired or revoked, which includes
        tokens of an earlier generation.
        """
        claims = read_access_token(token, self._settings)
        user = await self._users.get_by_id(claims.user_id)
        if user is None or not user.is_active or user.token_generation != claims.generation:
            raise InvalidTokenError("The access token has been revoked")
        return user
