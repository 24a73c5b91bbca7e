"""Every revision goes up and down, and together they make what the models say."""

import asyncio
import io
import re
import shutil
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest
from alembic import command
from alembic.script import Script, ScriptDirectory
from sqlalchemy import URL, Connection, inspect
from sqlalchemy.ext.asyncio import create_async_engine

from app.core.database.migrations import alembic_config
from tests.postgres import temporary_database

# Rules of squawk that are not about locks on tables in use, or that hold anyway.
IGNORED_RULES: Final = (
    "prefer-bigint-over-int",
    "prefer-text-field",
    "require-lock-timeout",  # set by alembic/env.py
    "require-statement-timeout",  # a long VALIDATE CONSTRAINT or CONCURRENTLY is as it should be
)


@pytest.fixture
def empty_url(template_url: URL, worker_id: str) -> Generator[URL]:
    name = f"{template_url.database}_{worker_id}_migrations"
    with temporary_database(template_url, name) as url:
        yield url


def schema(url: URL) -> dict[str, object]:
    """Return the tables with their columns, indexes and constraints."""

    def describe(connection: Connection) -> dict[str, object]:
        found = inspect(connection)
        # Of all tables at once: for each alone, the queries would be most of these tests' time.
        indexes = found.get_multi_indexes()
        foreign_keys = found.get_multi_foreign_keys()
        check_constraints = found.get_multi_check_constraints()
        return {
            table: [
                [(column["name"], str(column["type"])) for column in columns],
                indexes[schema, table],
                foreign_keys[schema, table],
                check_constraints[schema, table],
            ]
            for (schema, table), columns in found.get_multi_columns().items()
            if table != "alembic_version"
        }

    async def connect() -> dict[str, object]:
        engine = create_async_engine(url)
        async with engine.connect() as connection:
            result = await connection.run_sync(describe)
        await engine.dispose()
        return result

    return asyncio.run(connect())


def revisions() -> list[Script]:
    """Return all revisions, first to last. Fails if they do not end in one."""
    script = ScriptDirectory.from_config(alembic_config(URL.create("postgresql")))
    assert len(script.get_heads()) == 1, "join them: uv run alembic merge heads"
    return list(script.walk_revisions())[::-1]


# Those that join two lines of revisions do nothing themselves.
STEPS: Final = [revision for revision in revisions() if not revision.is_merge_point]


def test_each_revision_goes_up_down_and_up_again(empty_url: URL) -> None:
    config = alembic_config(empty_url)
    before = schema(empty_url)
    for step in STEPS:
        command.upgrade(config, step.revision)
        after = schema(empty_url)
        command.downgrade(config, f"{step.revision}@-1")
        assert schema(empty_url) == before, f"downgrade of {step.revision} leaves something"
        command.upgrade(config, step.revision)
        assert schema(empty_url) == after
        before = after


def test_downgrade_to_nothing_leaves_nothing(empty_url: URL) -> None:
    config = alembic_config(empty_url)
    command.upgrade(config, "head")

    command.downgrade(config, "base")

    assert schema(empty_url) == {}


def test_models_and_migrations_agree(empty_url: URL) -> None:
    config = alembic_config(empty_url)
    command.upgrade(config, "head")

    command.check(config)  # raises if autogenerate finds a difference


def test_sql_can_be_printed_instead_of_run(capsys: pytest.CaptureFixture[str]) -> None:
    command.upgrade(alembic_config(URL.create("postgresql")), "head", sql=True)

    assert "CREATE TABLE users" in capsys.readouterr().out


def sql_of(step: Script) -> str:
    """Return what a revision sends to the database on the way up."""
    buffer = io.StringIO()
    config = alembic_config(URL.create("postgresql"))
    config.output_buffer = buffer
    before = f"{step.down_revision}:" if step.down_revision else ""
    command.upgrade(config, f"{before}{step.revision}", sql=True)
    return buffer.getvalue()


def faults_of(sql: str) -> set[str]:
    """Return the rules of squawk (squawkhq.com/docs/rules) that the SQL breaks."""
    squawk = shutil.which("squawk", path=str(Path(sys.executable).parent))
    assert squawk
    completed = subprocess.run(
        [squawk, "--reporter=gcc", "--pg-version=15", f"--exclude={','.join(IGNORED_RULES)}"],
        input=sql,
        capture_output=True,
        text=True,
        check=False,
    )
    found = set(re.findall(r"^stdin:.*?(?:warning|error): (\S+)", completed.stdout, re.MULTILINE))
    assert (completed.returncode == 0) is not bool(found), completed
    return found


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.revision)
def test_revision_locks_no_table_for_long(step: Script) -> None:
    """Tables made by the revision itself may be locked; nobody uses them yet."""
    assert faults_of(sql_of(step)) == set()


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("CREATE INDEX ix_users_name ON users (name)", "require-concurrent-index-creation"),
        ("ALTER TABLE users ADD COLUMN age bigint NOT NULL", "adding-required-field"),
        ("ALTER TABLE users ALTER COLUMN name SET NOT NULL", "adding-not-nullable-field"),
        ("ALTER TABLE users ALTER COLUMN age TYPE text", "changing-column-type"),
        ("ALTER TABLE users DROP COLUMN name", "ban-drop-column"),
        ("ALTER TABLE users ADD CONSTRAINT c CHECK (age > 0)", "constraint-missing-not-valid"),
    ],
)
def test_locks_that_hurt_would_be_found(statement: str, fault: str) -> None:
    assert fault in faults_of(f"BEGIN; {statement}; COMMIT;")
