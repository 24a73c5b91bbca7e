"""Tests that commit leave no rows behind, whatever a table is called."""

from sqlalchemy import text

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


async def test_rows_that_refer_to_newer_ones_are_deleted_and_numbers_start_again(
    live_database: Database,
) -> None:
    await run(
        live_database,
        "CREATE TABLE first (id int GENERATED ALWAYS AS IDENTITY, second int)",
        "CREATE TABLE second (id int PRIMARY KEY)",
        "ALTER TABLE first ADD FOREIGN KEY (second) REFERENCES second ON DELETE RESTRICT",
        "INSERT INTO second VALUES (7)",
    )
    insert = "INSERT INTO first (second) VALUES (%s)"
    try:
        await run(live_database, insert % 7, "CREATE POLICY none ON first USING (false)")

        await empty_tables(live_database)

        await run(live_database, insert % "NULL")
        async with live_database.read() as session:
            first = (await session.execute(text("SELECT id, second FROM first"))).all()
            second = await session.scalar(text("SELECT count(*) FROM second"))
    finally:
        await run(live_database, "DROP TABLE first, second")

    assert first == [(1, None)]
    assert second == 0
