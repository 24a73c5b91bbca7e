from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import bindparam, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import raiseload

from app.models.auth.login_session import LoginSession
from app.models.auth.one_time_token import OneTimeToken
from app.models.user import User
from app.repositories.base import Repository
from app.repositories.user_repo import USERS

_KNOWS_ADDRESS: Final = exists().where(
    LoginSession.user_id == User.id, LoginSession.address == bindparam("address")
)
_HASHED_PASSWORD: Final = select(User.hashed_password).where(User.id == bindparam("user_id"))
_BY_EMAIL: Final = (
    select(User, _KNOWS_ADDRESS)
    .options(raiseload("*"))
    .where(func.lower(User.email) == func.lower(bindparam("email")))
)
_SIGNED_IN: Final = (
    USERS.join(LoginSession, LoginSession.user_id == User.id)
    .where(User.id == bindparam("user_id"), LoginSession.id == bindparam("session_id"))
    .where(LoginSession.expires_at > func.now())
)
_ACTIVE_ADMINS: Final = (
    select(User.id, User.email).where(User.role == "admin", User.is_active).order_by(User.id)
)
# Ordered by id, so that concurrent transactions lock them in the same order without a deadlock.
_LOCKED_ADMINS: Final = _ACTIVE_ADMINS.with_for_update(key_share=True)


class AccountRepository(Repository[User]):
    """SQL for users as accounts. Every method runs one statement."""

    model = User

    async def get_signed_in(self, user_id: int, session_id: int) -> User | None:
        """Return the user of a session that has not expired, or None."""
        return await self.one(_SIGNED_IN, {"user_id": user_id, "session_id": session_id})

    async def get_hashed_password(self, user_id: int) -> str | None:
        """Return the hash, or None if the user has no password or does not exist."""
        return await self._session.scalar(_HASHED_PASSWORD, {"user_id": user_id})

    async def find_by_email(self, email: str, address: str) -> tuple[User | None, bool]:
        """Return a user by e-mail address, and whether they are signed in at an IP address.

        An empty IP address, which stands for an unknown client, matches nobody.
        """
        parameters = {"email": email, "address": address}
        row = await self.row(_BY_EMAIL, parameters)
        return (row[0], row[1] and bool(address)) if row else (None, False)

    async def create_if_absent(self, values: dict[str, Any]) -> int | None:
        """Insert a user and return the id, or None if the e-mail address is taken."""
        # Names the index, so that violations of other unique constraints raise an error.
        statement = (
            insert(User)
            .values(values)
            .on_conflict_do_nothing(index_elements=[func.lower(User.email)])
        )
        return await self._session.scalar(statement.returning(User.id))

    async def forget_pending_emails(self, before: datetime) -> None:
        """Forget pending addresses that no token confirms any more, of users not changed since."""
        confirms = exists().where(
            OneTimeToken.user_id == User.id, OneTimeToken.purpose == "change_email"
        )
        # `before` spares an address that is entered while this statement runs.
        statement = (
            update(User)
            .where(User.pending_email.is_not(None), User.updated_at < before, ~confirms)
            .values(pending_email=None, version=User.version + 1)
        )
        await self._session.execute(statement, execution_options={"synchronize_session": False})

    async def active_admins(self, *, lock: bool = False) -> Mapping[int, str]:
        """Return the addresses of the active administrators by id.

        `lock` locks their rows until the transaction ends.
        """
        statement = _LOCKED_ADMINS if lock else _ACTIVE_ADMINS
        return {row.id: row.email for row in await self._session.execute(statement)}
