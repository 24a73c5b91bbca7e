import hmac
from datetime import UTC, datetime, timedelta
from typing import Final

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.database import Database
from app.core.http.client import ClientInfo
from app.core.security.audit import audit
from app.core.security.tokens import RefreshToken
from app.exceptions import AuthenticationError
from app.models.auth.login_session import LoginSession
from app.models.user import User
from app.repositories.auth.login_session_repo import LoginSessionRepository
from app.services.auth.login_session_service import IssuedTokens, is_over, issue_tokens

_REFUSED: Final = "The session is over: sign in again"


class RefreshService:
    """The rules of exchanging refresh tokens.

    It opens its own transactions, for what it does about a stolen token has to be committed though
    the request fails.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    async def refresh(self, refresh_token: SecretStr, client: ClientInfo) -> IssuedTokens:
        """Exchange a refresh token for new tokens. Raises `AuthenticationError`.

        A token that was exchanged before is known to two, one of whom has stolen it: it ends the
        session for both (RFC 9700, section 4.14.2).
        """
        token = RefreshToken.parse(refresh_token.get_secret_value())
        answer = None
        if token:
            async with self._database.transaction() as session:
                answer = await self._exchange(session, token, client)
        if answer is None:
            raise AuthenticationError(_REFUSED)
        return answer

    async def log_out(self, refresh_token: SecretStr) -> None:
        """End the session that a refresh token belongs to; do nothing if there is none.

        The last token but one will do as well: a client may not have got the answer with the last.
        """
        token = RefreshToken.parse(refresh_token.get_secret_value())
        if token:
            async with self._database.transaction() as session:
                sessions = LoginSessionRepository(session)
                user_id = await sessions.delete_by_key(token.key, token.digest)
            if user_id is not None:
                audit("sign_out", user_id=user_id)

    async def _exchange(
        self, session: AsyncSession, token: RefreshToken, client: ClientInfo
    ) -> IssuedTokens | None:
        sessions = LoginSessionRepository(session)
        found = await sessions.get_for_exchange(token.key)
        if found is None:
            return None
        row, user = found
        now = datetime.now(UTC)
        if not user.is_active or is_over(row, now, self._settings):
            await sessions.delete(row)
            return None
        if hmac.compare_digest(token.digest, row.secret_digest):
            following = token.successor(self._settings.secret_key)
            changes = {
                "secret_digest": following.digest,
                "previous_digest": token.digest,
                "last_used_at": now,
                "address": client.address,
                "user_agent": client.user_agent,
            }
            await sessions.update(row, changes)
            return issue_tokens(user, row.id, following, self._settings)
        if self._may_have_lost_the_answer(row, token, client, now):
            return self._repeat(row, user, token)
        await sessions.delete(row)
        audit("refresh_reuse", user_id=user.id, address=client.address, outcome="session ended")
        return None

    def _may_have_lost_the_answer(
        self, row: LoginSession, token: RefreshToken, client: ClientInfo, now: datetime
    ) -> bool:
        grace = timedelta(seconds=self._settings.refresh_grace_seconds)
        return (
            row.previous_digest is not None
            and hmac.compare_digest(token.digest, row.previous_digest)
            and now < row.last_used_at + grace
            and (client.address, client.user_agent) == (row.address, row.user_agent)
        )

    def _repeat(self, row: LoginSession, user: User, token: RefreshToken) -> IssuedTokens | None:
        """Return the present token once more. Another process may have signed it by another key."""
        for key in (self._settings.secret_key, self._settings.secret_key_previous):
            following = token.successor(key) if key else None
            if following and hmac.compare_digest(following.digest, row.secret_digest):
                return issue_tokens(user, row.id, following, self._settings)
        return None
