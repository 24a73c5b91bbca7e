from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

# The generic cell rate algorithm (GCRA): each hit moves `free_at` by one interval, starting from
# now at the earliest, and a hit that would move it beyond now + period is refused. So one timestamp
# per limit is enough, and the limit recovers gradually. A refused hit writes nothing.
#
# ON CONFLICT locks the row and reads its latest state, so there is no race. There is no deadlock
# either: the statement holds no lock while it waits for the row, and does not wait afterwards
# (`pruned` depends on `hit` and skips locked rows). ARRAY() evaluates the subquery once, which IN
# may not.
#
# PostgreSQL folds the case of the subject, as it does in the unique index on addresses. Python folds
# some letters differently, so that spellings of one address would have several limits.
_HIT: Final = text("""
WITH subject AS MATERIALIZED (
    SELECT sha256(convert_to(lower(CAST(:subject AS text)), 'UTF8')) AS key
), hit AS (
    INSERT INTO rate_limits AS used (key, free_at)
    SELECT key, statement_timestamp() + make_interval(secs => :interval) FROM subject
    ON CONFLICT (key) DO UPDATE
    SET free_at = greatest(used.free_at, statement_timestamp()) + make_interval(secs => :interval)
    WHERE used.free_at
        <= statement_timestamp() + make_interval(secs => :period) - make_interval(secs => :interval)
    RETURNING statement_timestamp() AS now
), pruned AS (
    DELETE FROM rate_limits WHERE key = ANY(ARRAY(
        SELECT key FROM rate_limits
        WHERE free_at < (SELECT now FROM hit) AND key <> (SELECT key FROM subject)
        ORDER BY free_at LIMIT :limit FOR UPDATE SKIP LOCKED
    ))
)
SELECT CASE WHEN EXISTS (SELECT FROM hit) THEN NULL ELSE greatest(
    (
        SELECT extract(epoch FROM free_at - statement_timestamp()) + :interval - :period
        FROM rate_limits WHERE key = (SELECT key FROM subject)
    ),
    0
)::double precision END
""")
_DELETE: Final = text("""
DELETE FROM rate_limits WHERE key = sha256(convert_to(lower(CAST(:subject AS text)), 'UTF8'))
""")
_PRUNE: Final = text("""
WITH pruned AS (
    DELETE FROM rate_limits WHERE key = ANY(ARRAY(
        SELECT key FROM rate_limits
        WHERE free_at < statement_timestamp()
        ORDER BY free_at LIMIT :limit FOR UPDATE SKIP LOCKED
    ))
    RETURNING key
)
SELECT count(*) FROM pruned
""")

# More than the one row that a hit can add, so that the table shrinks after a flood.
_PRUNED_PER_HIT: Final = 3


class RateLimitRepository:
    """SQL for rate limits. Every method runs one statement.

    A limit allows `period / interval` hits at once, and then one per `interval` (in seconds). A
    subject is any text, whose case is ignored.
    """

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def hit(self, subject: str, interval: float, period: float) -> float | None:
        """Count a hit and return None, or return the seconds to wait if the limit is exceeded.

        Also deletes a few expired rows.
        """
        parameters = {
            "subject": subject,
            "interval": interval,
            "period": period,
            "limit": _PRUNED_PER_HIT,
        }
        wait: float | None = await self._session.scalar(_HIT, parameters)
        return wait

    async def delete(self, subject: str) -> None:
        await self._session.execute(_DELETE, {"subject": subject})

    async def delete_expired(self, limit: int) -> int:
        """Delete up to `limit` expired rows, and return the number."""
        deleted: int = await self._session.scalar(_PRUNE, {"limit": limit})
        return deleted
