from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.http.client_info import ClientInfo
from app.core.security.audit import audit_on_commit
from app.core.security.settings import SessionSettings
from app.core.security.tokens import AccessToken, RefreshToken, create_access_token
from app.exceptions import NotFoundError
from app.models.auth.login_session import LoginSession
from app.models.user import User
from app.repositories.auth.login_session_repo import LoginSessionRepository
from app.repositories.user_repo import UserRepository
from app.services.auth.revocation_service import RevocationService
from app.services.permissions import Caller, require_signed_in, require_user

# The `amr` of a sign-in by password alone (RFC 8176).
BY_PASSWORD: Final = ["pwd"]
# Deleting this many takes a fraction of DATABASE_STATEMENT_TIMEOUT.
_PRUNED_AT_ONCE: Final = 10_000


@dataclass(frozen=True, slots=True)
class IssuedTokens:
    """The tokens that a client gets when it signs in or refreshes."""

    access_token: str = field(repr=False)
    expires_in: int  # seconds
    refresh_token: str = field(repr=False)
    session_id: int


def issue_tokens(
    user: User, login_session: LoginSession, refresh_token: RefreshToken, settings: Settings
) -> IssuedTokens:
    """Return a refresh token together with a new access token."""
    access_token = AccessToken(
        user_id=user.id,
        session_id=login_session.id,
        generation=user.token_generation,
        signed_in_at=int(login_session.created_at.timestamp()),
        methods=login_session.methods,
    )
    return IssuedTokens(
        access_token=create_access_token(access_token, settings),
        expires_in=settings.access_token_minutes * 60,
        refresh_token=str(refresh_token),
        session_id=login_session.id,
    )


def is_expired(login_session: LoginSession, now: datetime, settings: SessionSettings) -> bool:
    """Return whether a session has expired or was idle for too long."""
    idle = timedelta(days=settings.session_idle_days)
    return now >= login_session.expires_at or now >= login_session.last_used_at + idle


class LoginSessionService:
    """The login sessions of users, one for each device.

    Starting a session needs no caller. All other methods are about the caller's own sessions.
    """

    def __init__(
        self, session: AsyncSession, settings: Settings, caller: Caller | None = None
    ) -> None:
        self._session = session
        self._caller = caller
        self._users = UserRepository(session)
        self._login_sessions = LoginSessionRepository(session)
        self._revocation = RevocationService(session)
        self._settings = settings

    async def start(
        self, user: User, client: ClientInfo, methods: Sequence[str] = BY_PASSWORD
    ) -> IssuedTokens:
        """Start a session, and end the least recently used one if there are too many.

        `methods` says how the user has signed in, and is the `amr` of all its access tokens.
        The user must be locked, so that a concurrent revocation includes the new session.
        """
        token = RefreshToken.new()
        now = datetime.now(UTC)
        login_session = await self._login_sessions.create(
            {
                "user_id": user.id,
                "key": token.session_key,
                "secret_digest": token.digest,
                "address": client.address,
                "user_agent": client.user_agent,
                "methods": methods,
                "last_used_at": now,
                "expires_at": now + timedelta(days=self._settings.session_days),
            }
        )
        await self._login_sessions.keep_most_recent(user.id, self._settings.sessions_per_user)
        return issue_tokens(user, login_session, token, self._settings)

    async def list_active(self) -> Sequence[LoginSession]:
        """Return the caller's active sessions, most recently used first."""
        now = datetime.now(UTC)
        rows = await self._login_sessions.list_by_user(require_user(self._caller))
        return [row for row in rows if not is_expired(row, now, self._settings)]

    async def revoke(self, session_id: int) -> None:
        """End a session. Raises `NotFoundError` if the caller has no such session."""
        user_id = require_user(self._caller)
        if not await self._login_sessions.delete_by_user(user_id, session_id):
            raise NotFoundError(f"Session {session_id} not found")
        audit_on_commit(self._session, "session_ended", user_id=user_id, session_id=session_id)

    async def revoke_all(self) -> None:
        """End all of the caller's sessions, and revoke all of their tokens."""
        caller = require_signed_in(self._caller)
        locked = await self._users.get_for_update(caller.id)
        if locked and locked.token_generation == caller.token_generation:  # else already done
            await self._revocation.update_and_revoke_all(locked, {})
            audit_on_commit(self._session, "signed_out_everywhere", user_id=caller.id)


class LoginSessionMaintenance:
    """The part of `app prune` for login sessions."""

    def __init__(self, session: AsyncSession, settings: SessionSettings) -> None:
        self._login_sessions = LoginSessionRepository(session)
        self._idle = timedelta(days=settings.session_idle_days)

    async def prune(self, now: datetime) -> int:
        """Delete a batch of the sessions that have ended by `now`, and return the number: 0 when none is left."""
        return await self._login_sessions.delete_expired(now, now - self._idle, _PRUNED_AT_ONCE)
