from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.security.audit import audit_on_commit
from app.exceptions import NotFoundError
from app.models.user import User
from app.repositories.auth.account_repo import AccountRepository
from app.repositories.auth.login_session_repo import LoginSessionRepository
from app.repositories.auth.one_time_token_repo import OneTimeTokenRepository
from app.repositories.user_repo import UserRepository


class RevocationService:
    """Ends sessions and revokes tokens, without asking who wants it."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self._accounts = AccountRepository(session)
        self._users = UserRepository(session)
        self._login_sessions = LoginSessionRepository(session)
        self._one_time_tokens = OneTimeTokenRepository(session)

    async def update_and_revoke_all(self, user: User, changes: Mapping[str, object]) -> User:
        """Apply changes and revoke all of the user's tokens: access, refresh and one-time.

        So the token that would confirm a new address is revoked too, and the address forgotten.
        """
        revoked = {"token_generation": user.token_generation + 1, "pending_email": None}
        changed = await self._users.update(user, {**changes, **revoked})
        await self._login_sessions.delete_by_user(user.id)
        await self._one_time_tokens.delete_by_user(user.id)
        return changed

    async def sign_out(self, email: str) -> None:
        """End all sessions of a user, and revoke all of their tokens. Raises `NotFoundError`."""
        found, _ = await self._accounts.find_by_email(email, "")
        user = await self._users.get_for_update(found.id) if found else None
        if user is None:
            raise NotFoundError(f"There is no user {email}")
        await self.update_and_revoke_all(user, {})
        audit_on_commit(self._session, "signed_out_everywhere", user_id=user.id)

    async def sign_out_everybody(self) -> int:
        """End the sessions of all users, and revoke the tokens that were mailed to them.

        Forgets their pending addresses as well. Invitations stay valid. Returns the number of
        sessions.
        """
        ended = await self._login_sessions.delete_all()
        await self._one_time_tokens.delete_all_of_users()
        await self._accounts.forget_pending_emails(datetime.now(UTC))
        audit_on_commit(self._session, "everybody_signed_out", sessions=ended)
        return ended
