"""Behind a pooler in transaction mode nothing outlives a transaction: the next may be anybody's."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database.sessions import Database

SETTINGS = ("transaction_read_only", "default_transaction_read_only", "statement_timeout")
STATE = text(
    "SELECT pg_current_xact_id_if_assigned()::text AS transaction, now() AS beginning, "
    + ", ".join(f"current_setting('{name}') AS {name}" for name in SETTINGS)
)
PREPARED = text("SELECT name FROM pg_prepared_statements WHERE name <> ''")


@pytest.fixture
def pooled(open_database: Callable[..., Database]) -> Database:
    """A database that takes its one connection of each kind for a pooler's."""
    return open_database(database_pooler=True, database_pool_size=1, database_read_pool_size=1)


async def test_reads_are_one_transaction_that_is_read_only(pooled: Database) -> None:
    async with pooled.read() as session:
        seen = [(await session.execute(STATE)).one() for _ in range(5)]

    assert len({row.beginning for row in seen}) == 1  # the time at which the transaction began
    assert {row.transaction_read_only for row in seen} == {"on"}
    assert {row.transaction for row in seen} == {None}


async def test_writes_are_one_transaction(pooled: Database) -> None:
    for _ in range(2):
        async with pooled.transaction() as session:
            await session.execute(text("SELECT pg_current_xact_id()"))
            seen = [(await session.execute(STATE)).one() for _ in range(5)]

        assert len({row.transaction for row in seen}) == 1
        assert {row.transaction_read_only for row in seen} == {"off"}


async def test_connection_is_given_back_without_a_transaction(pooled: Database) -> None:
    """Otherwise the pooler could not give its server connection to anybody else."""
    async with pooled.reader.connect() as connection:
        process = await connection.scalar(text("SELECT pg_backend_pid()"))
    async with pooled.read() as session:
        assert await session.scalar(text("SELECT pg_backend_pid()")) == process
    async with pooled.writer.connect() as observer:
        state = await observer.scalar(
            text("SELECT state FROM pg_stat_activity WHERE pid = :pid"), {"pid": process}
        )

    assert state == "idle"


async def test_connection_is_opened_without_parameters(
    pooled: Database, live_database: Database
) -> None:
    """PgBouncer refuses those it does not know. `app set-limits` sets the limits instead."""
    async with live_database.writer.connect() as connection:
        limited = (await connection.execute(STATE)).one()
    async with pooled.writer.connect() as connection:
        unlimited = (await connection.execute(STATE)).one()

    assert (limited.statement_timeout, unlimited.statement_timeout) == ("4s", "0")
    assert unlimited.default_transaction_read_only == "off"


async def test_nothing_is_left_behind_by_a_transaction(pooled: Database) -> None:
    for engine, open_session in ((pooled.reader, pooled.read), (pooled.writer, pooled.transaction)):
        async with open_session() as session:
            for _ in range(10):  # a driver may prepare a statement that is repeated
                await session.execute(STATE)
            left = (await session.scalars(PREPARED)).all()
        autocommit = engine.execution_options(
            isolation_level="AUTOCOMMIT", postgresql_readonly=False
        )
        async with autocommit.connect() as connection:
            after = (await connection.execute(STATE)).one()

        assert left == []
        assert after.transaction_read_only == "off"
        assert after.statement_timeout == "0"


async def test_many_rows_at_once_are_one_transaction(pooled: Database) -> None:
    """A driver may send them in a pipeline."""
    async with pooled.transaction() as session:
        rows = [{"name": "a"}, {"name": "b"}]
        await session.execute(text("SELECT set_config('app.test', :name, true)"), rows)
        last = await session.scalar(text("SELECT current_setting('app.test')"))

    assert last == "b"


@pytest.mark.parametrize("kind", ["writer", "reader"])
async def test_isolation_level_is_left_to_the_engine(pooled: Database, kind: str) -> None:
    engine = getattr(pooled, kind).execution_options(isolation_level="SERIALIZABLE")

    async with engine.connect() as connection:
        level = await connection.scalar(text("SHOW transaction_isolation"))
    async with pooled.read() as session:
        level_of_others = await session.scalar(text("SHOW transaction_isolation"))

    assert (level, level_of_others) == ("serializable", "read committed")


async def prepared_by(
    open_session: Callable[[], AbstractAsyncContextManager[AsyncSession]],
) -> set[str]:
    """Return the names of the statements that a session has prepared after a few repetitions."""
    async with open_session() as session:
        for _ in range(10):
            await session.execute(STATE)
        return set((await session.scalars(PREPARED)).all())


async def test_pooler_that_keeps_statements_is_given_some(
    open_database: Callable[..., Database],
) -> None:
    database = open_database(database_pooler=True, database_pooler_prepares=True)

    assert await prepared_by(database.read)
    assert await prepared_by(database.transaction)
