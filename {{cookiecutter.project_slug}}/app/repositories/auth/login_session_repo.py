from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import bindparam, delete, select
from sqlalchemy.orm import raiseload

from app.models.auth.login_session import LoginSession
from app.models.user import User
from app.repositories.base import Repository

# Locked, so that the second of two concurrent refreshes sees the first one.
_BY_KEY_FOR_UPDATE: Final = (
    select(LoginSession, User)
    .join(User, User.id == LoginSession.user_id)
    .options(raiseload("*"))
    .where(LoginSession.key == bindparam("key"))
    .with_for_update(of=LoginSession, key_share=True)
)
_BY_USER: Final = (
    select(LoginSession)
    .options(raiseload("*"))
    .where(LoginSession.user_id == bindparam("user_id"))
    .order_by(LoginSession.last_used_at.desc(), LoginSession.id.desc())
)


class LoginSessionRepository(Repository[LoginSession]):
    """SQL for login sessions. Every method runs one statement."""

    model = LoginSession

    async def get_by_key_for_update(self, key: bytes) -> tuple[LoginSession, User] | None:
        """Return a session with its user, and lock the session until the transaction ends."""
        row = await self.row(_BY_KEY_FOR_UPDATE, {"key": key})
        return (row[0], row[1]) if row else None

    async def list_by_user(self, user_id: int) -> Sequence[LoginSession]:
        """Return the sessions of a user, most recently used first."""
        return await self.all(_BY_USER, {"user_id": user_id})

    async def delete_by_user(self, user_id: int, session_id: int | None = None) -> int:
        """Delete one session of a user or all, and return the number."""
        statement = delete(LoginSession).where(LoginSession.user_id == user_id)
        if session_id is not None:
            statement = statement.where(LoginSession.id == session_id)
        return await self.changed_rows(statement.returning(LoginSession.id))

    async def delete_all(self) -> int:
        """Delete the sessions of all users, and return the number."""
        statement = delete(LoginSession).returning(LoginSession.id)
        return await self.changed_rows(statement)

    async def delete_by_key(self, key: bytes, digest: bytes) -> int | None:
        """Delete a session by key and its current or previous secret, and return the user's id."""
        statement = delete(LoginSession).where(
            LoginSession.key == key,
            (LoginSession.secret_digest == digest) | (LoginSession.previous_digest == digest),
        )
        return await self._session.scalar(statement.returning(LoginSession.user_id))

    async def keep_most_recent(self, user_id: int, keep: int) -> None:
        """Delete the sessions of a user except the `keep` most recently used ones."""
        kept = _BY_USER.with_only_columns(LoginSession.id).limit(keep).params(user_id=user_id)
        await self._session.execute(
            delete(LoginSession).where(
                LoginSession.user_id == user_id, LoginSession.id.not_in(kept)
            )
        )

    async def delete_expired(self, now: datetime, idle_since: datetime, most: int) -> int:
        """Delete up to `most` sessions that have expired or were idle since, and return the number."""
        has_ended = (LoginSession.expires_at < now) | (LoginSession.last_used_at < idle_since)
        ended = select(LoginSession.id).where(has_ended).order_by(LoginSession.id).limit(most)
        statement = delete(LoginSession).where(LoginSession.id.in_(ended))
        return await self.changed_rows(statement.returning(LoginSession.id))
