from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import DatabaseSettings
from app.exceptions import KeyInUseError, KeyReusedError
from app.models.idempotency_key import IdempotencyKey
from app.repositories.idempotency_key_repo import IdempotencyKeyRepository


class IdempotencyService:
    """Replays the responses to requests that clients repeat with the same Idempotency-Key.

    Keys are locked and responses stored in the transaction of the request, so that either the work
    and the response are committed or neither is.
    """

    def __init__(self, session: AsyncSession, settings: DatabaseSettings) -> None:
        self._keys = IdempotencyKeyRepository(session)
        self._lifetime = timedelta(hours=settings.idempotency_key_hours)

    async def claim(self, scope: str, key: str, fingerprint: bytes) -> IdempotencyKey | None:
        """Lock a key until the transaction ends, and return its stored response or None.

        Raises `KeyInUseError` while another request with the key runs, and `KeyReusedError` if
        the key was used for a different request.
        """
        if not await self._keys.try_lock(scope, key):
            raise KeyInUseError("A request with this Idempotency-Key is being processed")
        stored = await self._keys.get(scope, key)
        if stored and stored.created_at < datetime.now(UTC) - self._lifetime:
            await self._keys.delete(stored)
            return None
        if stored and stored.fingerprint != fingerprint:
            raise KeyReusedError(
                f"The Idempotency-Key {key!r} was used for another request; use a new one"
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
        """Store the response to the request that has claimed the key."""
        await self._keys.create(
            {
                "scope": scope,
                "key": key,
                "fingerprint": fingerprint,
                "status": status,
                "headers": list(headers),
                "body": body,
            }
        )

    async def prune(self) -> int:
        """Delete the expired keys, and return the number."""
        return await self._keys.delete_older_than(datetime.now(UTC) - self._lifetime)
