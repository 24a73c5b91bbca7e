"""Every revision can be applied and reverted, and all of them together match the models."""

import ast
from collections.abc import Generator
from contextlib import nullcontext
from pathlib import Path
from typing import Final

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import Script
from sqlalchemy import URL, Connection, inspect, text

from app.cli import dev_server
from app.core.database.drivers import run
from app.core.database.migrations import alembic_config, script_directory
from app.core.env_file import PROJECT
from tests.migration_lint import check_locks
from tests.postgres import make_test_engine, temporary_database

pytestmark = pytest.mark.long

# Functions, types, views, sequences and triggers, and tables in other schemas. Without those of PostgreSQL
# and of extensions. Extensions and empty schemas may stay.
OTHER_OBJECTS: Final = text("""
WITH ours AS (
    SELECT oid, nspname FROM pg_namespace
    WHERE nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%'
), found AS (
    SELECT 'function ' || pg_proc.oid::regprocedure AS name, 'pg_proc'::regclass AS catalog, pg_proc.oid
    FROM pg_proc JOIN ours ON ours.oid = pronamespace
    UNION ALL
    SELECT 'type ' || pg_type.oid::regtype, 'pg_type'::regclass, pg_type.oid
    FROM pg_type JOIN ours ON ours.oid = typnamespace WHERE typtype IN ('e', 'd', 'r')
    UNION ALL
    SELECT 'relation ' || pg_class.oid::regclass, 'pg_class'::regclass, pg_class.oid
    FROM pg_class JOIN ours ON ours.oid = relnamespace
    WHERE relkind IN ('v', 'm', 'S') OR (relkind IN ('r', 'p') AND nspname <> 'public')
    UNION ALL
    SELECT 'trigger ' || tgname || ' of ' || tgrelid::regclass, 'pg_trigger'::regclass, oid
    FROM pg_trigger WHERE NOT tgisinternal
)
SELECT name FROM found WHERE NOT EXISTS (
    SELECT FROM pg_depend WHERE classid = catalog AND objid = found.oid AND deptype = 'e'
)
""")


@pytest.fixture
def empty_url(template_url: URL, worker_id: str) -> Generator[URL]:
    name = f"{template_url.database}_{worker_id}_migrations"
    with temporary_database(template_url, name) as url:
        yield url


def schema(url: URL) -> dict[str, object]:
    """Return the tables with their columns, indexes and constraints, and the names of other objects.

    The order of columns does not count: PostgreSQL puts one that a downgrade adds again behind the others.
    """

    def describe(connection: Connection) -> dict[str, object]:
        found = inspect(connection)
        # For all tables at once: a query for each table would take most of the time.
        indexes = found.get_multi_indexes()
        foreign_keys = found.get_multi_foreign_keys()
        check_constraints = found.get_multi_check_constraints()
        described: dict[str, object] = {
            table: [
                {
                    column["name"]: (str(column["type"]), column["nullable"], column["default"])
                    for column in columns
                },
                indexes[schema, table],
                foreign_keys[schema, table],
                check_constraints[schema, table],
            ]
            for (schema, table), columns in found.get_multi_columns().items()
            if table != "alembic_version"
        }
        others = {str(one) for one in connection.scalars(OTHER_OBJECTS)}
        return described | {"other objects": others} if others else described

    async def connect() -> dict[str, object]:
        engine = make_test_engine(url)
        async with engine.connect() as connection:
            result = await connection.run_sync(describe)
        await engine.dispose()
        return result

    return run(url, connect())


def execute(url: URL, *statements: str) -> None:
    async def connect() -> None:
        engine = make_test_engine(url)
        async with engine.begin() as connection:
            for statement in statements:
                await connection.exec_driver_sql(statement)
        await engine.dispose()

    run(url, connect())


def revisions() -> list[Script]:
    """Return all revisions, oldest first. Fails if there is more than one head."""
    script = script_directory()
    assert len(script.get_heads()) == 1, (
        "there are several heads; join them: uv run alembic merge heads"
    )
    return list(script.walk_revisions())[::-1]


# Without merges, which do nothing themselves.
STEPS: Final = [revision for revision in revisions() if not revision.is_merge_point]


def test_each_revision_goes_up_down_and_up_again(empty_url: URL) -> None:
    config = alembic_config(empty_url)
    before = schema(empty_url)
    for step in STEPS:
        command.upgrade(config, step.revision)
        after = schema(empty_url)
        command.downgrade(config, f"{step.revision}@-1")
        assert schema(empty_url) == before, f"the downgrade of {step.revision} is incomplete"
        command.upgrade(config, step.revision)
        before = after
    assert schema(empty_url) == before


@pytest.mark.parametrize(
    ("statement", "is_same"),
    [
        (
            "ALTER TABLE users DROP display_name; ALTER TABLE users ADD display_name text NOT NULL",
            True,
        ),
        ("ALTER TABLE users ALTER display_name DROP NOT NULL", False),
        ("ALTER TABLE users ALTER display_name SET DEFAULT 'Ann'", False),
        ("ALTER TABLE users DROP display_name", False),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", False),
        ("CREATE TYPE state AS ENUM ('on')", False),
        ("CREATE VIEW names AS SELECT display_name FROM users", False),
        ("CREATE SCHEMA other", True),
        ("CREATE SCHEMA other; CREATE TABLE other.things (id int)", False),
        ("CREATE SEQUENCE numbers", False),
        ("CREATE EXTENSION pg_trgm", True),
    ],
)
def test_schemas_are_the_same_in_any_order_of_columns(
    empty_url: URL, statement: str, *, is_same: bool
) -> None:
    execute(empty_url, "CREATE TABLE users (display_name text NOT NULL, email text)")
    before = schema(empty_url)

    execute(empty_url, *statement.split("; "))

    assert (schema(empty_url) == before) is is_same


def test_merges_do_nothing_themselves() -> None:
    merges = [revision for revision in revisions() if revision.is_merge_point]
    for merge in merges:
        for function in ast.parse(Path(merge.path).read_text(encoding="utf-8")).body:
            if isinstance(function, ast.FunctionDef):
                code = function.body[bool(ast.get_docstring(function)) :]
                assert all(isinstance(statement, ast.Pass) for statement in code), merge.path


def test_downgrade_to_nothing_leaves_nothing(empty_url: URL) -> None:
    config = alembic_config(empty_url)
    command.upgrade(config, "head")

    command.downgrade(config, "base")

    assert schema(empty_url) == {}


def test_models_and_migrations_agree(empty_url: URL) -> None:
    config = alembic_config(empty_url)
    command.upgrade(config, "head")

    command.check(config)  # raises if autogenerate finds a difference


def test_merged_branches_run_in_any_order(empty_url: URL) -> None:
    config = alembic_config(empty_url)
    for merge in (revision for revision in revisions() if revision.is_merge_point):
        for parent in merge.down_revision or ():
            command.upgrade(config, parent)
            command.upgrade(config, "head")
            command.check(config)
            command.downgrade(config, "base")


def test_alembic_command_line_uses_the_database_of_the_commands(
    empty_url: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dev_server, "database_url", lambda: nullcontext(empty_url))

    command.upgrade(Config(toml_file=PROJECT / "pyproject.toml"), "head")

    assert schema(empty_url)


def test_sql_can_be_printed_instead_of_run(capsys: pytest.CaptureFixture[str]) -> None:
    command.upgrade(alembic_config(URL.create("postgresql")), "head", sql=True)

    printed = capsys.readouterr().out
    assert "CREATE TABLE users" in printed
    # From the first statement on, and again after a revision has reset it.
    assert printed.startswith("SET lock_timeout = '3s';\n")
    resets = printed.split("RESET lock_timeout;")
    assert len(resets) > 1
    assert all("SET lock_timeout = '3s';" in rest.partition("COMMIT;")[0] for rest in resets)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.revision)
def test_revision_locks_no_table_for_long(step: Script) -> None:
    """Tables that the revision creates may be locked, because they are not in use yet."""
    check_locks(step, alembic_config(URL.create("postgresql")))
