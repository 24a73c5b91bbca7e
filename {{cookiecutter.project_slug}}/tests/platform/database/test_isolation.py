"""Tests that commit leave no rows behind, whatever a table is called."""

from app.core.database import Database
from app.core.database.statements import verbatim
from tests.conftest import empty_tables
from tests.platform.database.apps import run


async def test_tables_with_any_name_in_any_schema_are_emptied(live_database: Database) -> None:
    tables = ('public."order"', '"Billing"."a ""quoted"" table"', '"Billing"."gr :oup %s"')
    await run(live_database, 'CREATE SCHEMA "Billing"')
    try:
        for table in tables:
            await run(
                live_database,
                f"CREATE TABLE {table} (id int)",
                f"INSERT INTO {table} VALUES (1)",  # noqa: S608
            )

        await empty_tables(live_database)

        async with live_database.read() as session:
            rows = [
                await session.scalar(verbatim(f"SELECT count(*) FROM {table}"))  # noqa: S608
                for table in tables
            ]
    finally:
        await run(live_database, 'DROP TABLE public."order"', 'DROP SCHEMA "Billing" CASCADE')

    assert rows == [0, 0, 0]
