from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import DatabaseSettings
from app.exceptions import ConflictError, ValidationError
from app.models.idempotency_key import IdempotencyKey
from app.repositories.idempotency_key_repo import IdempotencyKeyRepository


class IdempotencyService:
    """The rules of requests that clients repeat when an answer was lost on the way.

    A key is locked, and its answer stored, in the transaction of the work itself: both are
    committed or neither is.
    """

    def __init__(self, session: AsyncSession, settings: DatabaseSettings) -> None:
        self._keys = IdempotencyKeyRepository(session)
        self._lifetime = timedelta(hours=settings.idempotency_key_hours)

    async def claim(self, scope: str, key: str, fingerprint: bytes) -> IdempotencyKey | None:
        """Lock a key until the transaction ends; return its stored answer, if there is one.

        Raises `ConflictError` while another request with the key runs, and `ValidationError`
        if the key was used for another request.
        """
        if not await self._keys.try_lock(scope, key):
            raise ConflictError("A request with this Idempotency-Key is being processed")
        stored = await self._keys.get(scope, key)
        if stored and stored.created_at < datetime.now(UTC) - self._lifetime:
            await self._keys.delete(stored)
            return None
        if stored and stored.fingerprint != fingerprint:
            raise ValidationError(
                f"The Idempotency-Key {key!r} was used for another request; make a new one"
            )
        return stored

    async def store(
        self,
        *,
        scope: str,
        key: str,
        fingerprint: bytes,
        status: int,
        headers: Sequence[tuple[str, str]],
        body: bytes,
    ) -> None:
        """Keep the answer to the request that claimed the key."""
        await self._keys.create(
            IdempotencyKey(
                scope=scope,
                key=key,
                fingerprint=fingerprint,
                status=status,
                headers=list(headers),
                body=body,
            )
        )

    async def prune(self) -> int:
        """Delete the keys that have expired, and return how many."""
        return await self._keys.delete_older_than(datetime.now(UTC) - self._lifetime)
