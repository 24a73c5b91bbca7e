from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.http.client import ClientInfo
from app.core.security.settings import SessionSettings
from app.core.security.tokens import RefreshToken, create_access_token
from app.exceptions import NotFoundError
from app.models.auth.login_session import LoginSession
from app.models.user import User
from app.repositories.auth.login_session_repo import LoginSessionRepository
from app.repositories.auth.one_time_token_repo import OneTimeTokenRepository
from app.repositories.user_repo import UserRepository


@dataclass(frozen=True, slots=True)
class IssuedTokens:
    """What a signed-in client is given: an access token, and a refresh token for the next one."""

    access_token: str = field(repr=False)
    expires_in: int  # seconds
    refresh_token: str = field(repr=False)
    session_id: int


def issue_tokens(
    user: User, session_id: int, refresh_token: RefreshToken, settings: Settings
) -> IssuedTokens:
    """Return a new access token with the refresh token."""
    return IssuedTokens(
        access_token=create_access_token(user.id, user.token_generation, settings),
        expires_in=settings.access_token_minutes * 60,
        refresh_token=str(refresh_token),
        session_id=session_id,
    )


def is_over(row: LoginSession, now: datetime, settings: SessionSettings) -> bool:
    """Say whether a session has reached its end, or was idle for too long."""
    idle = timedelta(days=settings.session_idle_days)
    return now >= row.expires_at or now >= row.last_used_at + idle


class LoginSessionService:
    """The rules of the devices on which a user is signed in."""

    def __init__(self, session: AsyncSession, settings: Settings) -> None:
        self._users = UserRepository(session)
        self._sessions = LoginSessionRepository(session)
        self._one_time_tokens = OneTimeTokenRepository(session)
        self._settings = settings

    async def begin(self, user: User, client: ClientInfo) -> IssuedTokens:
        """Sign a user in on one more device. Of too many devices the idlest is signed out.

        The user has to be locked: whoever takes the account away meanwhile then finds the session.
        """
        token = RefreshToken.new()
        now = datetime.now(UTC)
        begun = await self._sessions.create(
            LoginSession(
                user_id=user.id,
                key=token.key,
                secret_digest=token.digest,
                address=client.address,
                user_agent=client.user_agent,
                last_used_at=now,
                expires_at=now + timedelta(days=self._settings.session_days),
            )
        )
        await self._sessions.delete_idlest(user.id, self._settings.sessions_per_user)
        return issue_tokens(user, begun.id, token, self._settings)

    async def list_sessions(self, user: User) -> Sequence[LoginSession]:
        """Return where a user is signed in, the device used last first."""
        now = datetime.now(UTC)
        rows = await self._sessions.list_of_user(user.id)
        return [row for row in rows if not is_over(row, now, self._settings)]

    async def end(self, user: User, session_id: int) -> None:
        """Sign a device out. Raises `NotFoundError` unless it is one of the user's."""
        if not await self._sessions.delete_of_user(user.id, session_id):
            raise NotFoundError(f"Session {session_id} not found")

    async def end_all(self, user: User) -> None:
        """Sign every device out, and end the access tokens that they still hold."""
        locked = await self._users.get_for_update(user.id)
        if locked and locked.token_generation == user.token_generation:  # nobody was faster
            await self.revoke(locked, {})

    async def revoke(self, user: User, changes: dict[str, object]) -> User:
        """Write a change after which no token from before may count: not one of any kind."""
        next_generation = user.token_generation + 1
        changed = await self._users.update(user, changes | {"token_generation": next_generation})
        await self._sessions.delete_of_user(user.id)
        await self._one_time_tokens.delete_of_user(user.id)
        return changed


class LoginSessionMaintenance:
    """What `app prune` does for sessions."""

    def __init__(self, session: AsyncSession, settings: SessionSettings) -> None:
        self._sessions = LoginSessionRepository(session)
        self._idle = timedelta(days=settings.session_idle_days)

    async def prune(self) -> int:
        """Delete the sessions that have ended or were idle for too long; return how many."""
        now = datetime.now(UTC)
        return await self._sessions.delete_ended(now, now - self._idle)
