"""How much PostgreSQL reads for a statement."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession


async def scanned_rows(session: AsyncSession, table: str) -> int:
    """Return how many rows of a table, or of its indexes, this transaction has read so far."""
    counters = text(
        "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables "
        "WHERE relname = :table"
    )
    return int((await session.execute(counters, {"table": table})).scalar_one())
