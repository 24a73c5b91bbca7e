import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import DatabaseSettings
from app.exceptions import AlreadyProcessedError, KeyInUseError, KeyReusedError
from app.models.idempotency_key import IdempotencyKey
from app.repositories.idempotency_key_repo import IdempotencyKeyRepository

# Deleting this many takes a fraction of DATABASE_STATEMENT_TIMEOUT, even with large responses.
_PRUNED_AT_ONCE: Final = 1_000


@dataclass(frozen=True, slots=True)
class RequestDigests:
    """What the database stores of a request and its key: digests, which tell neither key nor body.

    `fingerprints` holds a digest for each of the settings' `digest_keys`, in their order, and so does
    `names` for an anonymous caller. Otherwise `names` holds one, of the key alone.
    """

    scope: str
    key: str = field(repr=False)  # for messages to the client
    names: tuple[str, ...]
    fingerprints: tuple[bytes, ...]

    @classmethod
    def of(
        cls, request: bytes, scope: str, key: str, secrets: tuple[bytes, ...], *, is_anonymous: bool
    ) -> Self:
        """Digest a request, given as the digest of its method, URL and body.

        A key belongs to its caller. An anonymous caller's key belongs to the request: a stranger who
        guesses it learns nothing without the whole request, and keeps nobody else from using it.
        """
        message = b"idempotency\0" + key.encode() + b"\0" + request
        fingerprints = tuple(hmac.digest(secret, message, "sha256") for secret in secrets)
        if is_anonymous:
            names = tuple(fingerprint.hex() for fingerprint in fingerprints)
        else:
            names = (hashlib.sha256(key.encode()).hexdigest(),)
        return cls(scope, key, names, fingerprints)


class IdempotencyService:
    """Replays the responses to requests that clients repeat with the same Idempotency-Key.

    Keys are locked and responses stored in the transaction of the request, so that either the work
    and the response are committed or neither is.
    """

    def __init__(self, session: AsyncSession, settings: DatabaseSettings) -> None:
        self._keys = IdempotencyKeyRepository(session)
        self._lifetime = timedelta(hours=settings.idempotency_key_hours)

    async def claim(self, request: RequestDigests) -> IdempotencyKey | None:
        """Lock a key until the transaction ends, and return its stored response or None.

        Raises `KeyInUseError` while another request with the key runs, `KeyReusedError` if the key
        was used for a different request, and `AlreadyProcessedError` if its response is not stored.
        """
        # The last name is known to processes with previous settings, too.
        if not await self._keys.try_lock(request.scope, request.names[-1]):
            raise KeyInUseError("A request with this Idempotency-Key is being processed")
        for name in request.names:
            if stored := await self._keys.get(request.scope, name):
                break
        else:
            return None
        if stored.created_at < datetime.now(UTC) - self._lifetime:
            await self._keys.delete(stored)
            return None
        if stored.fingerprint not in request.fingerprints:
            raise KeyReusedError(
                f"The Idempotency-Key {request.key!r} was used for another request; use a new one"
            )
        if not stored.status:
            raise AlreadyProcessedError(
                "This request has been processed; its response is not stored, because it may be "
                "personal and the request does not say who sent it"
            )
        return stored

    async def store(
        self,
        request: RequestDigests,
        *,
        status: int,
        headers: Sequence[tuple[str, str]],
        body: bytes,
    ) -> None:
        """Store the response to the request that has claimed the key."""
        await self._keys.create(
            {
                "scope": request.scope,
                "key": request.names[0],
                "fingerprint": request.fingerprints[0],
                "status": status,
                "headers": list(headers),
                "body": body,
            }
        )

    async def store_without_response(self, request: RequestDigests) -> None:
        """Record that the request was processed. Its repetition is an error."""
        await self.store(request, status=0, headers=(), body=b"")

    async def prune(self, now: datetime) -> int:
        """Delete a batch of the keys that have expired by `now`, and return the number: 0 when none is left."""
        return await self._keys.delete_older_than(now - self._lifetime, _PRUNED_AT_ONCE)
