"""Every revision goes up and down, and together they make what the models say."""

import asyncio
import io
import os
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from sqlalchemy import URL, Connection, inspect
from sqlalchemy.ext.asyncio import create_async_engine

from app.core.database.migrations import alembic_config
from tests.migration_lint import REMEDIES, lint
from tests.postgres import temporary_database

pytestmark = pytest.mark.long


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


def test_lines_of_revisions_that_a_merge_joins_run_in_any_order(empty_url: URL) -> None:
    config = alembic_config(empty_url)
    for merge in (revision for revision in revisions() if revision.is_merge_point):
        for parent in merge.down_revision or ():
            command.upgrade(config, parent)
            command.upgrade(config, "head")
            command.check(config)
            command.downgrade(config, "base")


def test_sql_can_be_printed_instead_of_run(capsys: pytest.CaptureFixture[str]) -> None:
    command.upgrade(alembic_config(URL.create("postgresql")), "head", sql=True)

    assert "CREATE TABLE users" in capsys.readouterr().out


def sql_of(step: Script, config: Config) -> str:
    """Return what a revision sends to the database on the way up."""
    config.output_buffer = buffer = io.StringIO()
    before = f"{step.down_revision}:" if step.down_revision else ""
    command.upgrade(config, f"{before}{step.revision}", sql=True)
    return buffer.getvalue()


def check_locks(step: Script, config: Config) -> None:
    """Fail with all that squawk finds in a revision."""
    findings = lint(os.path.relpath(step.path), sql_of(step, config))
    if findings:
        pytest.fail("\n\n".join(str(finding) for finding in findings), pytrace=False)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.revision)
def test_revision_locks_no_table_for_long(step: Script) -> None:
    """Tables made by the revision itself may be locked; nobody uses them yet."""
    check_locks(step, alembic_config(URL.create("postgresql")))


PLANTED: Final = """
import sqlalchemy as sa
from alembic import op

revision = "bad"
down_revision = None


def upgrade() -> None:
    op.create_table("tags", sa.Column("id", sa.BigInteger(), nullable=False))
    op.create_index("ix_users_name", "users", ["name"])
    op.execute("ALTER TABLE users\\n  ALTER COLUMN näme TYPE text")
    op.create_index("ix_tags_id", "tags", ["id"])
"""


def test_finding_names_file_statement_rule_and_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad_add_index.py").write_text(PLANTED, encoding="utf-8")
    config = alembic_config(URL.create("postgresql"))
    config.set_main_option("version_locations", str(tmp_path))
    config.set_main_option("path_separator", "os")
    step = ScriptDirectory.from_config(config).get_revision("bad")
    assert step
    monkeypatch.chdir(tmp_path)

    with pytest.raises(pytest.fail.Exception) as failure:
        check_locks(step, config)

    assert str(failure.value) == (
        "bad_add_index.py\n"
        "    CREATE INDEX ix_users_name ON users (name);\n"
        "  require-concurrent-index-creation: During normal index creation, table updates are "
        "blocked, but reads are still allowed.\n"
        f"  Remedy: {REMEDIES['require-concurrent-index-creation']}\n"
        "\n"
        "bad_add_index.py\n"
        "    ALTER TABLE users\n"
        "      ALTER COLUMN näme TYPE text;\n"
        "  changing-column-type: Changing a column type requires an `ACCESS EXCLUSIVE` lock on the "
        "table which blocks reads and writes while the table is rewritten. Changing the type of "
        "the column may also break other clients reading from the table.\n"
        f"  Remedy: {REMEDIES['changing-column-type']}"
    )


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("CREATE INDEX ix_users_name ON users (name)", "require-concurrent-index-creation"),
        ("ALTER TABLE users ADD COLUMN age bigint NOT NULL", "adding-required-field"),
        ("ALTER TABLE users ALTER COLUMN name SET NOT NULL", "adding-not-nullable-field"),
        ("ALTER TABLE users ALTER COLUMN age TYPE text", "changing-column-type"),
        ("ALTER TABLE users DROP COLUMN name", "ban-drop-column"),
        ("ALTER TABLE users ADD CONSTRAINT c CHECK (age > 0)", "constraint-missing-not-valid"),
    ],
)
def test_locks_that_hurt_would_be_found(statement: str, rule: str) -> None:
    findings = lint("bad.py", f"BEGIN;\n\n{statement};\n\nCOMMIT;\n")

    assert [(finding.statement, finding.rule) for finding in findings] == [(f"{statement};", rule)]
    assert all(finding.remedy for finding in findings)


def test_rule_without_a_remedy_is_explained_elsewhere() -> None:
    (finding,) = lint("bad.py", "DROP DATABASE app;")

    assert "squawkhq.com/docs/ban-drop-database" in finding.remedy


def test_statement_that_is_meant_says_so() -> None:
    statement = "-- squawk-ignore ban-drop-column\nALTER TABLE users DROP COLUMN name"

    assert lint("meant.py", f"BEGIN;\n\n{statement};\n\nCOMMIT;\n") == []
