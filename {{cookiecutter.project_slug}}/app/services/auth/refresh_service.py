import hmac
from datetime import UTC, datetime, timedelta
from typing import Final

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.database import Database
from app.core.http.client_info import ClientInfo
from app.core.security.audit import audit, audit_on_commit
from app.core.security.tokens import RefreshToken
from app.exceptions import AuthenticationError
from app.models.auth.login_session import LoginSession
from app.models.user import User
from app.repositories.auth.login_session_repo import LoginSessionRepository
from app.services.auth.login_session_service import IssuedTokens, is_expired, issue_tokens

_REFUSED: Final = "The session has ended; sign in again"


class RefreshService:
    """Exchanges refresh tokens.

    It opens its own transactions, because the revocation of a stolen token must be committed
    although the request fails.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    async def refresh(self, refresh_token: SecretStr, client: ClientInfo) -> IssuedTokens:
        """Exchange a refresh token for new tokens. Raises `AuthenticationError`.

        Reusing a token means that it may be stolen, so it ends the session (RFC 9700, section
        4.14.2).
        """
        token = RefreshToken.parse(refresh_token.get_secret_value())
        tokens = None
        if token:
            async with self._database.transaction() as session:
                tokens = await self._exchange(session, token, client)
        if tokens is None:
            raise AuthenticationError(_REFUSED)
        return tokens

    async def log_out(self, refresh_token: SecretStr) -> None:
        """End the session of a refresh token, if there is one.

        The previous token works as well, because the client may have lost the response with the
        current one.
        """
        token = RefreshToken.parse(refresh_token.get_secret_value())
        if token:
            async with self._database.transaction() as session:
                login_sessions = LoginSessionRepository(session)
                user_id = await login_sessions.delete_by_key(token.session_key, token.digest)
            if user_id is not None:
                audit("sign_out", user_id=user_id)

    async def _exchange(
        self, session: AsyncSession, token: RefreshToken, client: ClientInfo
    ) -> IssuedTokens | None:
        login_sessions = LoginSessionRepository(session)
        match = await login_sessions.get_by_key_for_update(token.session_key)
        if match is None:
            return None
        login_session, user = match
        now = datetime.now(UTC)
        if not user.is_active or is_expired(login_session, now, self._settings):
            await login_sessions.delete(login_session)
            return None
        if hmac.compare_digest(token.digest, login_session.secret_digest):
            successor = token.successor(self._settings.secret_key)
            changes = {
                "secret_digest": successor.digest,
                "previous_digest": token.digest,
                "last_used_at": now,
                "address": client.address,
                "user_agent": client.user_agent,
            }
            await login_sessions.update(login_session, changes)
            return issue_tokens(user, login_session, successor, self._settings)
        if self._is_retry(login_session, token, client, now):
            return self._repeat(login_session, user, token)
        await login_sessions.delete(login_session)
        audit_on_commit(
            session,
            "refresh_reuse",
            user_id=user.id,
            address=client.address,
            outcome="session ended",
        )
        return None

    def _is_retry(
        self, login_session: LoginSession, token: RefreshToken, client: ClientInfo, now: datetime
    ) -> bool:
        grace = timedelta(seconds=self._settings.refresh_grace_seconds)
        return (
            login_session.previous_digest is not None
            and hmac.compare_digest(token.digest, login_session.previous_digest)
            and now < login_session.last_used_at + grace
            and (client.address, client.user_agent)
            == (login_session.address, login_session.user_agent)
        )

    def _repeat(
        self, login_session: LoginSession, user: User, token: RefreshToken
    ) -> IssuedTokens | None:
        """Return the current tokens again. They may be derived from the previous key."""
        for key in (self._settings.secret_key, self._settings.secret_key_previous):
            successor = token.successor(key) if key else None
            if successor and hmac.compare_digest(successor.digest, login_session.secret_digest):
                return issue_tokens(user, login_session, successor, self._settings)
        return None
