import json
import math
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Database
from app.exceptions import TooManyRequestsError
from app.repositories.auth.rate_limit_repo import RateLimitRepository

_PRUNED_AT_ONCE: Final = 10_000


@dataclass(frozen=True)
class Limit:
    """A limit of `hits` at once, and then one every `seconds / hits`.

    The wait after exceeding it is therefore short.
    """

    name: str
    hits: int
    seconds: float

    @property
    def interval(self) -> float:
        return self.seconds / self.hits

    def subject(self, *parts: str | int) -> str:
        """Return one text for the limit and the subject. An id differs from a text of its digits."""
        # Not as ASCII, because PostgreSQL could not fold the case of escaped letters.
        return json.dumps([self.name, *parts], ensure_ascii=False)


async def count_hit(session: AsyncSession, limit: Limit, *subject: str | int) -> None:
    """Count a hit in the session's transaction, so that it counts only if that is committed.

    Raises `TooManyRequestsError` if it exceeds the limit.
    """
    wait = await RateLimitRepository(session).hit(
        limit.subject(*subject), limit.interval, limit.seconds
    )
    if wait is not None:
        raise TooManyRequestsError(max(1, math.ceil(wait)))  # 0 would mean immediately


class RateLimitService:
    """Rate limits in PostgreSQL, which all processes share. The case of subjects is ignored.

    Each call runs in a transaction of its own, so that hits of failed requests count as well.
    Call it before the request holds a connection, or the pool may deadlock. If several limits
    apply, hit the limit by IP address first: it bounds the rows that a client can add.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def hit(self, limit: Limit, *subject: str | int) -> None:
        """Count a hit of the subject. Raises `TooManyRequestsError` if that exceeds the limit."""
        async with self._database.statement() as session:
            await count_hit(session, limit, *subject)

    async def reset(self, limit: Limit, *subject: str | int) -> None:
        """Forget all hits of the subject."""
        async with self._database.statement() as session:
            await RateLimitRepository(session).delete(limit.subject(*subject))

    async def prune(self) -> int:
        """Delete the expired rows, and return the number.

        Runs in batches, so that no transaction is long.
        """
        deleted = 0
        while True:
            async with self._database.transaction() as session:
                batch = await RateLimitRepository(session).delete_expired(_PRUNED_AT_ONCE)
            deleted += batch
            if batch < _PRUNED_AT_ONCE:
                return deleted
