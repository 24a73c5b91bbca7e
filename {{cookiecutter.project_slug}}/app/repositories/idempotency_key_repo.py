from datetime import datetime
from typing import Final

from sqlalchemy import (
    ColumnElement,
    SQLColumnExpression,
    Text,
    bindparam,
    cast,
    delete,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.orm import raiseload

from app.models.idempotency_key import IdempotencyKey
from app.models.user import scope_of_user
from app.repositories.base import Repository

_LOCK: Final = select(func.pg_try_advisory_xact_lock(func.hashtextextended(bindparam("name"), 0)))
_GET: Final = (
    select(IdempotencyKey)
    .options(raiseload("*"))
    .where(IdempotencyKey.scope == bindparam("scope"), IdempotencyKey.key == bindparam("key"))
)


def is_about_user(user_id: SQLColumnExpression[int]) -> ColumnElement[bool]:
    """Return the condition of a user's keys, and of those whose response created the user.

    It reads all keys of the last `IDEMPOTENCY_KEY_HOURS`: users are deleted rarely.
    """
    location = func.concat("%/users/", user_id, '"]%')
    return or_(
        IdempotencyKey.scope == func.concat(scope_of_user(""), user_id),
        cast(IdempotencyKey.headers, Text).like(location),
    )


class IdempotencyKeyRepository(Repository[IdempotencyKey]):
    """SQL for idempotency keys. Every method runs one statement."""

    model = IdempotencyKey

    async def try_lock(self, scope: str, key: str) -> bool:
        """Lock a key until the transaction ends. Returns False if another transaction holds it."""
        return bool(await self._session.scalar(_LOCK, {"name": f"{scope}:{key}"}))

    async def get(self, scope: str, key: str) -> IdempotencyKey | None:
        return await self.one(_GET, {"scope": scope, "key": key})

    async def delete_about_user(self, user_id: int) -> None:
        """Delete the keys of a user, and those whose response created the user."""
        await self._session.execute(delete(IdempotencyKey).where(is_about_user(literal(user_id))))

    async def delete_older_than(self, moment: datetime, most: int) -> int:
        """Delete up to `most` older keys, the oldest first, and return the number."""
        is_older = IdempotencyKey.created_at < moment
        oldest = select(IdempotencyKey.id).where(is_older).order_by(IdempotencyKey.created_at)
        statement = delete(IdempotencyKey).where(IdempotencyKey.id.in_(oldest.limit(most)))
        return await self.changed_rows(statement.returning(IdempotencyKey.id))
