from datetime import datetime
from typing import Final

from sqlalchemy import bindparam, delete, func, select

from app.models.idempotency_key import IdempotencyKey
from app.repositories.base import Repository

_LOCK: Final = select(func.pg_try_advisory_xact_lock(func.hashtextextended(bindparam("name"), 0)))
_GET: Final = select(IdempotencyKey).where(
    IdempotencyKey.scope == bindparam("scope"), IdempotencyKey.key == bindparam("key")
)


class IdempotencyKeyRepository(Repository[IdempotencyKey]):
    """SQL for idempotency keys. Every method runs one statement."""

    model = IdempotencyKey

    async def try_lock(self, scope: str, key: str) -> bool:
        """Lock a key until the transaction ends. Returns False if another transaction holds it."""
        return bool(await self._session.scalar(_LOCK, {"name": f"{scope}:{key}"}))

    async def get(self, scope: str, key: str) -> IdempotencyKey | None:
        return await self.one(_GET, {"scope": scope, "key": key})

    async def delete_of(self, scope: str) -> None:
        """Delete the keys of a caller."""
        await self._session.execute(delete(IdempotencyKey).where(IdempotencyKey.scope == scope))

    async def delete_older_than(self, moment: datetime) -> int:
        """Delete the older keys, and return the number."""
        statement = delete(IdempotencyKey).where(IdempotencyKey.created_at < moment)
        return await self.changed_rows(statement.returning(IdempotencyKey.id))
