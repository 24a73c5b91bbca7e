from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.security.tokens import read_access_token
from app.exceptions import InvalidTokenError
from app.models.user import User
from app.repositories.user_repo import UserRepository


class AuthService:
    """The rules of being signed in."""

    def __init__(self, session: AsyncSession, settings: Settings) -> None:
        self._users = UserRepository(session)
        self._settings = settings

    async def authenticate(self, token: str) -> User:
        """Return the active user whom an access token names. Raises `InvalidTokenError`.

        A token of a former generation ended with what has ended the user's sessions.
        """
        claims = read_access_token(token, self._settings)
        user = await self._users.get_by_id(claims.user_id)
        if user is None or not user.is_active or user.token_generation != claims.generation:
            raise InvalidTokenError("The access token has been revoked")
        return user
