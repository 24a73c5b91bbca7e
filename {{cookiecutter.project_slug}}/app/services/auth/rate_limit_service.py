import hashlib
import json
import math
from dataclasses import dataclass
from typing import Final

from app.core.database import Database
from app.exceptions import TooManyRequestsError
from app.repositories.auth.rate_limit_repo import RateLimitRepository

_PRUNED_AT_ONCE: Final = 10_000


@dataclass(frozen=True)
class Limit:
    """So many hits at once, and after those one in each `seconds / hits`.

    So whoever has used it up never waits for long, and nobody is locked out for good.
    """

    name: str
    hits: int
    seconds: float

    @property
    def interval(self) -> float:
        return self.seconds / self.hits

    def key(self, *whom: str) -> bytes:
        """Return the same 32 bytes for the same limit and texts, however long the texts are."""
        return hashlib.sha256(json.dumps([self.name, *whom]).encode()).digest()


class RateLimitService:
    """Limits that every process shares, because PostgreSQL counts.

    Each call is a transaction of its own: a hit counts though the request that made it fails.
    So call it before the request has a session, or a full pool waits for itself. Where several
    limits apply, hit that of the address first: only what it lets through can add rows for
    texts that a client makes up.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def hit(self, limit: Limit, *whom: str) -> None:
        """Count a hit of those whom the texts name. Raises `TooManyRequestsError`."""
        async with self._database.statement() as session:
            wait = await RateLimitRepository(session).hit(
                limit.key(*whom), limit.interval, limit.seconds
            )
        if wait is not None:
            raise TooManyRequestsError(max(1, math.ceil(wait)))  # 0 would mean at once

    async def forget(self, limit: Limit, *whom: str) -> None:
        """Begin anew, as if they had never made a hit."""
        async with self._database.statement() as session:
            await RateLimitRepository(session).forget(limit.key(*whom))

    async def prune(self) -> int:
        """Delete what has no effect any more, and return how many rows those were.

        In several transactions, so that none of them is long.
        """
        deleted = 0
        while True:
            async with self._database.transaction() as session:
                batch = await RateLimitRepository(session).delete_free(_PRUNED_AT_ONCE)
            deleted += batch
            if batch < _PRUNED_AT_ONCE:
                return deleted
