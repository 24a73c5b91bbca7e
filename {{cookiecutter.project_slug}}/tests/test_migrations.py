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
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, inspect
from sqlalchemy.ext.asyncio import create_async_engine

from app.core.migrations import alembic_config
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
        return {
            table: [
                [(column["name"], str(column["type"])) for column in found.get_columns(table)],
                found.get_indexes(table),
                found.get_foreign_keys(table),
                found.get_check_constraints(table),
            ]
            for table in found.get_table_names()
            if table != "alembic_version"
        }

    async def connect() -> dict[str, object]:
        engine = create_async_engine(url)
        async with engine.connect() as connection:
            result = await connection.run_sync(describe)
        await engine.dispose()
        return result

    return asyncio.run(connect())


def revisions() -> list[str]:
    """Return all revisions, first to last. Fails if they are not one line."""
    script = ScriptDirectory.from_config(alembic_config(URL.create("postgresql")))
    assert len(script.get_heads()) == 1
    return [revision.revision for revision in script.walk_revisions()][::-1]


def test_each_revision_goes_up_down_and_up_again(empty_url: URL) -> None:
    config = alembic_config(empty_url)
    before = schema(empty_url)
    for revision in revisions():
        command.upgrade(config, revision)
        after = schema(empty_url)
        command.downgrade(config, "-1")
        assert schema(empty_url) == before, f"downgrade of {revision} leaves something"
        command.upgrade(config, revision)
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


def sql_of(revision: str) -> str:
    """Return what a revision sends to the database on the way up."""
    buffer = io.StringIO()
    config = alembic_config(URL.create("postgresql"))
    config.output_buffer = buffer
    known = ["base", *revisions()]
    before = known[known.index(revision) - 1]
    command.upgrade(config, f"{before}:{revision}".removeprefix("base:"), sql=True)
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


@pytest.mark.parametrize("revision", revisions())
def test_revision_locks_no_table_for_long(revision: str) -> None:
    """Tables made by the revision itself may be locked; nobody uses them yet."""
    assert faults_of(sql_of(revision)) == set()


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
