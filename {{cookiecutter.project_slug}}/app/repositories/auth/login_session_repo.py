from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import bindparam, delete, select
from sqlalchemy.orm import raiseload

from app.models.auth.login_session import LoginSession
from app.models.user import User
from app.repositories.base import Repository

# The row is locked, so that of two who send the same token at once the second sees the exchange.
_FOR_EXCHANGE: Final = (
    select(LoginSession, User)
    .join(User, User.id == LoginSession.user_id)
    .options(raiseload("*"))
    .where(LoginSession.key == bindparam("key"))
    .with_for_update(of=LoginSession)
)
_OF_USER: Final = (
    select(LoginSession)
    .where(LoginSession.user_id == bindparam("user_id"))
    .order_by(LoginSession.last_used_at.desc(), LoginSession.id.desc())
)


class LoginSessionRepository(Repository[LoginSession]):
    """SQL for the devices on which users are signed in. Every method runs one statement."""

    async def get_for_exchange(self, key: bytes) -> tuple[LoginSession, User] | None:
        """Return a session, locked until the transaction ends, with its user."""
        row = (await self._session.execute(_FOR_EXCHANGE, {"key": key})).one_or_none()
        return (row[0], row[1]) if row else None

    async def list_of_user(self, user_id: int) -> Sequence[LoginSession]:
        """Return the sessions of a user, the one used last first."""
        return (await self._session.scalars(_OF_USER, {"user_id": user_id})).all()

    async def delete_of_user(self, user_id: int, session_id: int | None = None) -> int:
        """Delete one session of a user, or all, and return how many."""
        statement = delete(LoginSession).where(LoginSession.user_id == user_id)
        if session_id is not None:
            statement = statement.where(LoginSession.id == session_id)
        return len((await self._session.scalars(statement.returning(LoginSession.id))).all())

    async def delete_by_key(self, key: bytes, digest: bytes) -> int | None:
        """Delete the session with a key and a present or former secret; return whose it was."""
        statement = delete(LoginSession).where(
            LoginSession.key == key,
            (LoginSession.secret_digest == digest) | (LoginSession.previous_digest == digest),
        )
        return await self._session.scalar(statement.returning(LoginSession.user_id))

    async def delete_idlest(self, user_id: int, keep: int) -> None:
        """Delete the sessions of a user but those used last."""
        kept = _OF_USER.with_only_columns(LoginSession.id).limit(keep).params(user_id=user_id)
        await self._session.execute(
            delete(LoginSession).where(
                LoginSession.user_id == user_id, LoginSession.id.not_in(kept)
            )
        )

    async def delete_ended(self, now: datetime, idle_since: datetime) -> int:
        """Delete the sessions that are over or idle, and return how many."""
        statement = delete(LoginSession).where(
            (LoginSession.expires_at < now) | (LoginSession.last_used_at < idle_since)
        )
        return len((await self._session.scalars(statement.returning(LoginSession.id))).all())
