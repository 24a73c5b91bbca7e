from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

# The generic cell rate algorithm: each hit moves `free_at` on by one interval, from now at the
# earliest, and a hit that would move it beyond now + period is refused. One row and one time
# thus say all of a limit's past, and what was used up comes back bit by bit.
#
# Whoever waits for the row (ON CONFLICT locks it) decides by its newest state, so races do not
# matter. The statement holds nothing yet while it waits, and waits for nothing once it holds the
# row (SKIP LOCKED), so two of them never wait for each other: `pruned` needs the result of `hit`.
# A refused hit writes nothing. ARRAY() has the rows chosen once, where IN might choose again.
_HIT: Final = text("""
WITH hit AS (
    INSERT INTO rate_limits AS used (key, free_at)
    VALUES (:key, statement_timestamp() + make_interval(secs => :interval))
    ON CONFLICT (key) DO UPDATE
    SET free_at = greatest(used.free_at, statement_timestamp()) + make_interval(secs => :interval)
    WHERE used.free_at
        <= statement_timestamp() + make_interval(secs => :period) - make_interval(secs => :interval)
    RETURNING statement_timestamp() AS now
), pruned AS (
    DELETE FROM rate_limits WHERE key = ANY(ARRAY(
        SELECT key FROM rate_limits
        WHERE free_at < (SELECT now FROM hit) AND key <> :key
        ORDER BY free_at LIMIT :most FOR UPDATE SKIP LOCKED
    ))
)
SELECT CASE WHEN EXISTS (SELECT FROM hit) THEN NULL ELSE greatest(
    (
        SELECT extract(epoch FROM free_at - statement_timestamp()) + :interval - :period
        FROM rate_limits WHERE key = :key
    ),
    0
)::double precision END
""")
_FORGET: Final = text("DELETE FROM rate_limits WHERE key = :key")
_PRUNE: Final = text("""
WITH pruned AS (
    DELETE FROM rate_limits WHERE key = ANY(ARRAY(
        SELECT key FROM rate_limits
        WHERE free_at < statement_timestamp()
        ORDER BY free_at LIMIT :most FOR UPDATE SKIP LOCKED
    ))
    RETURNING key
)
SELECT count(*) FROM pruned
""")

# More than the one row that a hit may add, so that the table shrinks again after a flood.
_PRUNED_BY_A_HIT: Final = 3


class RateLimitRepository:
    """SQL for rate limits. Every method runs one statement.

    A limit allows `period / interval` hits (in seconds) at once, and then one per interval.
    """

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def hit(self, key: bytes, interval: float, period: float) -> float | None:
        """Count a hit and return None; if it is one too many, return the seconds to wait.

        Rows that nobody needs any more are deleted on the way, a few at a time.
        """
        parameters = {"key": key, "interval": interval, "period": period, "most": _PRUNED_BY_A_HIT}
        wait: float | None = await self._session.scalar(_HIT, parameters)
        return wait

    async def forget(self, key: bytes) -> None:
        await self._session.execute(_FORGET, {"key": key})

    async def delete_free(self, most: int) -> int:
        """Delete rows that nobody needs any more, and return how many."""
        deleted: int = await self._session.scalar(_PRUNE, {"most": most})
        return deleted
