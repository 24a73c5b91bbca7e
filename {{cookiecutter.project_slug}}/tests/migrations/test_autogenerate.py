"""Autogenerate and `alembic check` agree on other schemas, enum types, and what is not ours."""

import textwrap
from collections.abc import Generator
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata, produce_migrations, render_python_code
from alembic.operations import Operations
from alembic.operations.ops import DowngradeOps, UpgradeOps
from alembic.runtime.migration import MigrationContext
from sqlalchemy import URL, Connection, Enum, Integer, MetaData, Table, inspect, text
from sqlalchemy.dialects import postgresql

from app.core.database.autogenerate import autogenerate_options
from app.core.database.drivers import run
from app.core.database.metadata import NAMING_CONVENTION
from tests.postgres import make_test_engine, temporary_database


@pytest.fixture
def empty_url(template_url: URL, worker_id: str) -> Generator[URL]:
    name = f"{template_url.database}_{worker_id}_autogenerate"
    with temporary_database(template_url, name) as url:
        yield url


def on_connection(url: URL, work: Any) -> None:
    async def connect() -> None:
        engine = make_test_engine(url)
        async with engine.begin() as connection:
            await connection.run_sync(work)
        await engine.dispose()

    run(url, connect())


def context_on(connection: Connection, metadata: MetaData) -> MigrationContext:
    return MigrationContext.configure(connection, opts=autogenerate_options(metadata))


def migrate(connection: Connection, metadata: MetaData) -> list[str]:
    """Run what autogenerate writes, and return its upgrade and its downgrade."""
    context = context_on(connection, metadata)
    script = produce_migrations(context, metadata)
    context.opts["process_revision_directives"](context, (), [script])
    upgrade, downgrade = (
        render(operations, context.opts["render_item"])
        for operations in (script.upgrade_ops, script.downgrade_ops)
        if operations
    )
    execute(context, upgrade)
    return [upgrade, downgrade]


def render(operations: UpgradeOps | DowngradeOps, render_item: Any) -> str:
    code = render_python_code(operations, render_item=render_item)
    return textwrap.dedent(f"    {code}")


def execute(context: MigrationContext, code: str) -> None:
    exec(code, {"op": Operations(context), "sa": sa, "postgresql": postgresql})  # noqa: S102


def differences(connection: Connection, metadata: MetaData) -> list[Any]:
    return list(compare_metadata(context_on(connection, metadata), metadata))


def enum_types(connection: Connection) -> set[str]:
    return set(connection.scalars(text("SELECT typname FROM pg_type WHERE typtype = 'e'")))


def table(metadata: MetaData, name: str, *columns: sa.Column[Any], **options: Any) -> Table:
    return Table(name, metadata, sa.Column("id", Integer, primary_key=True), *columns, **options)


def test_model_in_another_schema_is_made_once(empty_url: URL) -> None:
    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    table(metadata, "order", schema="Billing")

    def work(connection: Connection) -> None:
        migrate(connection, metadata)
        assert differences(connection, metadata) == []

    on_connection(empty_url, work)


def test_objects_of_others_stay(empty_url: URL) -> None:
    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    table(metadata, "ours", sa.Column("name", sa.String))

    def work(connection: Connection) -> None:
        migrate(connection, metadata)
        for statement in (
            "CREATE TABLE theirs (id int)",
            "CREATE INDEX theirs_too ON ours (name)",
            "ALTER TABLE ours ADD COLUMN their_column int",
            "CREATE SCHEMA elsewhere",
            "CREATE TABLE elsewhere.users (id int)",  # as a revision of ours names one
        ):
            connection.execute(text(statement))
        assert differences(connection, metadata) == []

    on_connection(empty_url, work)


def test_table_whose_model_is_deleted_is_dropped(empty_url: URL) -> None:
    def work(connection: Connection) -> None:
        connection.execute(text("CREATE TABLE users (id int)"))  # a revision names it
        ((kind, dropped),) = differences(connection, MetaData())
        assert (kind, dropped.name) == ("remove_table", "users")

    on_connection(empty_url, work)


def test_enum_types_go_with_the_downgrade(empty_url: URL) -> None:
    """One type in two new tables, and one in a new column of an old table."""
    before = MetaData(naming_convention=NAMING_CONVENTION)
    table(before, "old")
    after = MetaData(naming_convention=NAMING_CONVENTION)
    for name in ("first", "second"):
        table(after, name, sa.Column("state", Enum("on", "it's off", name="State")))
    table(after, "old", sa.Column("kind", Enum("a", "b", name="kind")))

    def work(connection: Connection) -> None:
        migrate(connection, before)
        _, downgrade = migrate(connection, after)
        assert differences(connection, after) == []
        assert enum_types(connection) == {"State", "kind"}

        execute(context_on(connection, after), downgrade)
        assert enum_types(connection) == set()
        assert inspect(connection).get_table_names() == ["old"]

    on_connection(empty_url, work)


def test_enum_type_that_exists_is_used_again(empty_url: URL) -> None:
    metadata = MetaData(naming_convention=NAMING_CONVENTION)

    def work(connection: Connection) -> None:
        for name in ("first", "second"):
            table(metadata, name, sa.Column("state", Enum("on", "off", name="state")))
            _, downgrade = migrate(connection, metadata)
        execute(context_on(connection, metadata), downgrade)
        assert enum_types(connection) == {"state"}

    on_connection(empty_url, work)
