from collections.abc import Collection
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Executable,
    LargeBinary,
    String,
    bindparam,
    delete,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import Insert, insert

from app.models.auth.one_time_token import OneTimeToken
from app.models.user import User
from app.repositories.base import Repository

Purpose = Literal["verify_email", "change_email", "password_reset", "invitation"]

_COLUMNS: Final = (
    OneTimeToken.user_id,
    OneTimeToken.email,
    OneTimeToken.purpose,
    OneTimeToken.digest,
    OneTimeToken.expires_at,
)
_PARAMETERS: Final = (
    bindparam("purpose", type_=String()),
    bindparam("digest", type_=LargeBinary()),
    bindparam("expires_at", type_=OneTimeToken.expires_at.type),
)
# raw: the ORM's own strategy cannot process the columns of INSERT ... SELECT.
_INSERT: Final = insert(OneTimeToken).execution_options(dml_strategy="raw")


class Recipient(NamedTuple):
    """The recipient of a token. The recipient of an invitation has no user yet."""

    user_id: int | None
    email: str
    purpose: str


_RECIPIENT: Final = (OneTimeToken.user_id, OneTimeToken.email, OneTimeToken.purpose)


def _is_valid(
    digest: bytes, purposes: Collection[Purpose], now: datetime
) -> tuple[ColumnElement[bool], ...]:
    return (
        OneTimeToken.digest == digest,
        OneTimeToken.purpose.in_(purposes),
        OneTimeToken.expires_at > now,
    )


def _replacing_older(statement: Insert) -> Insert:
    """Make an INSERT replace the token of the same purpose and address."""
    return statement.on_conflict_do_update(
        index_elements=[OneTimeToken.purpose, func.lower(OneTimeToken.email)],
        set_={column.key: statement.excluded[column.key] for column in _COLUMNS},
    )


class OneTimeTokenRepository(Repository[OneTimeToken]):
    """SQL for one-time tokens. Every method runs one statement."""

    model = OneTimeToken

    async def issue_to_user(
        self, email: str, purpose: Purpose, digest: bytes, expires_at: datetime
    ) -> Recipient | None:
        """Store a token for the active user with an e-mail address, replacing an older one.

        Return the user with the stored address (send the mail there, not to what was typed), or
        None if there is no such user, or nothing left to verify, or no password to verify it with.
        """
        wanted = (User.is_active, func.lower(User.email) == func.lower(bindparam("typed")))
        users = select(User.id, User.email, *_PARAMETERS).where(*wanted)
        if purpose == "verify_email":
            users = users.where(~User.is_email_verified, User.hashed_password.is_not(None))
        parameters = {
            "typed": email,
            "purpose": purpose,
            "digest": digest,
            "expires_at": expires_at,
        }
        statement = _replacing_older(_INSERT.from_select(_COLUMNS, users))
        return await self._recipient(statement.returning(*_RECIPIENT), parameters)

    async def issue_to_email(
        self,
        email: str,
        purpose: Purpose,
        digest: bytes,
        expires_at: datetime,
        user_id: int | None = None,
    ) -> None:
        """Store a token for an address, with or without a user, replacing an older one."""
        statement = _INSERT.values(
            user_id=user_id, email=email, purpose=purpose, digest=digest, expires_at=expires_at
        )
        await self._session.execute(_replacing_older(statement))

    async def find(
        self, digest: bytes, purposes: Collection[Purpose], now: datetime
    ) -> Recipient | None:
        """Return the recipient of a valid token for one of the purposes, or None."""
        return await self._recipient(select(*_RECIPIENT).where(*_is_valid(digest, purposes, now)))

    async def consume(
        self,
        digest: bytes,
        purposes: Collection[Purpose],
        now: datetime,
        *,
        email: str | None = None,
    ) -> Recipient | None:
        """Delete a valid token and return its recipient, or None. Only one transaction succeeds.

        With `email` the token must have been sent to this address, in any spelling.
        """
        statement = delete(OneTimeToken).where(*_is_valid(digest, purposes, now))
        if email is not None:
            statement = statement.where(func.lower(OneTimeToken.email) == func.lower(email))
        return await self._recipient(statement.returning(*_RECIPIENT))

    async def delete_by_user(self, user_id: int, *purposes: Purpose) -> None:
        """Delete the tokens of a user for some purposes, by default for all."""
        statement = delete(OneTimeToken).where(OneTimeToken.user_id == user_id)
        if purposes:
            statement = statement.where(OneTimeToken.purpose.in_(purposes))
        await self._session.execute(statement)

    async def delete_by_email(self, email: str, purpose: Purpose) -> None:
        """Delete the token for a purpose that was sent to an address, in any spelling."""
        was_sent_to_email = func.lower(OneTimeToken.email) == func.lower(email)
        await self._session.execute(
            delete(OneTimeToken).where(OneTimeToken.purpose == purpose, was_sent_to_email)
        )

    async def delete_all_of_users(self) -> None:
        """Delete the tokens of all users, which leaves invitations."""
        await self._session.execute(delete(OneTimeToken).where(OneTimeToken.user_id.is_not(None)))

    async def delete_expired(self, now: datetime, most: int) -> int:
        """Delete up to `most` expired tokens, and return the number."""
        has_expired = OneTimeToken.expires_at < now
        expired = select(OneTimeToken.id).where(has_expired).order_by(OneTimeToken.id).limit(most)
        statement = delete(OneTimeToken).where(OneTimeToken.id.in_(expired))
        return await self.changed_rows(statement.returning(OneTimeToken.id))

    async def _recipient(
        self, statement: Executable, parameters: dict[str, Any] | None = None
    ) -> Recipient | None:
        """Return the only row of a statement as a recipient, by the names of its columns, or None."""
        found = (await self._session.execute(statement, parameters)).mappings().one_or_none()
        return Recipient(**found) if found else None
