"""What searching a large table costs, on the connections that requests search on."""

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from random import Random
from typing import Any, Final, NamedTuple

from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Database

Search = Callable[[AsyncSession, str], Awaitable[object]]

_COUNTERS: Final = text(
    "SELECT heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit"
    " FROM pg_statio_user_tables WHERE relname = :table"
)
# A connection publishes its counters after a transaction, but by default not twice in a second.
_PUBLISH: Final = text("SELECT pg_stat_force_next_flush()")


class Cost(NamedTuple):
    """The blocks (of 8 kB) of the table and its indexes that were read, and the plan."""

    blocks: int
    plan: str


async def cost(database: Database, table: str, search: Search, words: str) -> Cost:
    """Search for words, and return what that took."""
    session = database.open_read_session(searches=True)
    async with session:
        before = await _blocks_read(session, table)
        with _recorded(database) as statements:
            await search(session, words)
        blocks = await _blocks_read(session, table) - before
        ((statement, parameters),) = statements
        connection = await session.connection()
        plan = await connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
        return Cost(blocks, "\n".join(plan.scalars()))


async def mislead(database: Database, search: Search) -> None:
    """Search for long texts on every connection, more often than a plan is made for each text.

    If statements were prepared, PostgreSQL would then use one plan for all texts.
    """
    random = Random(1)
    session = database.open_read_session(searches=True)
    async with session:
        for _ in range(15):
            await search(session, "".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=100)))


async def fill(database: Database, table: str, statement: str, **parameters: object) -> None:
    """Write many rows to a table, and bring its statistics up to date.

    Nothing is left to do later that would count as reading by a search: no autovacuum, and no
    counters that a connection has not published yet.
    """
    async with database.writer.begin() as connection:
        await connection.execute(text(f"ALTER TABLE {table} SET (autovacuum_enabled = false)"))
        await connection.execute(text(statement), parameters)
        await connection.execute(_PUBLISH)
    async with database.statement() as session:
        await session.execute(text("VACUUM ANALYZE"))
        await session.execute(_PUBLISH)


@contextmanager
def _recorded(database: Database) -> Generator[list[tuple[str, Any]]]:
    """Yield a list to which the statements of searches are added, with their parameters."""
    statements: list[tuple[str, Any]] = []

    def record(
        _connection: object, _cursor: object, statement: str, parameters: object, *_: object
    ) -> None:
        statements.append((statement, parameters))

    engine = database.searcher.sync_engine
    event.listen(engine, "before_cursor_execute", record)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", record)


async def _blocks_read(session: AsyncSession, table: str) -> int:
    await session.execute(_PUBLISH)
    return int((await session.execute(_COUNTERS, {"table": table})).scalar_one())
