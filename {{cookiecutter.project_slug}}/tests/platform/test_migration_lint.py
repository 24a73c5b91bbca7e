"""Migrations that would lock a table in use are found, with the rule and the remedy."""

from pathlib import Path
from typing import Final

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import URL

from app.core.database.migrations import alembic_config
from tests.migration_lint import LOCKS, REMEDIES, check_locks, lint

pytestmark = pytest.mark.long

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


def check(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return how the check of a revision with this code fails."""
    (folder / "bad_add_index.py").write_text(code, encoding="utf-8")
    config = alembic_config(URL.create("postgresql"))
    config.set_main_option("version_locations", str(folder))
    config.set_main_option("path_separator", "os")
    step = ScriptDirectory.from_config(config).get_revision("bad")
    assert step
    monkeypatch.chdir(folder)
    with pytest.raises(pytest.fail.Exception) as failure:
        check_locks(step, config)
    return str(failure.value)


def test_finding_names_file_statement_rule_and_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check(PLANTED, tmp_path, monkeypatch) == (
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
        f"  Remedy: {REMEDIES['changing-column-type'].format(rule='changing-column-type')}"
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
        ("ALTER TABLE users ADD CONSTRAINT c UNIQUE (age)", "disallowed-unique-constraint"),
        ("ALTER TABLE users ADD PRIMARY KEY (id)", "adding-serial-primary-key-field"),
        ("ALTER TABLE users ADD EXCLUDE USING gist (a WITH &&)", "constraint-missing-not-valid"),
        (
            "ALTER TABLE users ADD COLUMN age INTEGER CONSTRAINT c CHECK (age > 0)",
            "adding-column-with-check",
        ),
        ("ALTER TABLE users SET UNLOGGED", "rewriting-table"),
        ("ALTER TABLE users\n  SET TABLESPACE other", "rewriting-table"),
        ("cluster users USING pk_users", "rewriting-table"),
        ("VACUUM (ANALYZE, FULL) users", "rewriting-table"),
        ("REFRESH MATERIALIZED VIEW totals", "refresh-without-concurrently"),
        ("TRUNCATE users", "truncating-table"),
        ("LOCK TABLE users", "locking-table"),
        ("ALTER TABLE users ADD COLUMN a numeric(9, 2) CHECK (a > 0)", "adding-column-with-check"),
    ],
)
def test_locks_that_hurt_would_be_found(statement: str, rule: str) -> None:
    findings = lint("bad.py", f"BEGIN;\n\n{statement};\n\nCOMMIT;\n")

    assert [(finding.statement, finding.rule) for finding in findings] == [(f"{statement};", rule)]
    assert all(finding.remedy and "{" not in finding.remedy for finding in findings)


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        ("/* all of them */ TRUNCATE users", "TRUNCATE users;"),
        ("  TRUNCATE users", "TRUNCATE users;"),
        ("SELECT ';'; TRUNCATE users", "TRUNCATE users;"),
        ("CREATE TABLE tags (id INTEGER);\n\nTRUNCATE tags, users", "TRUNCATE tags, users;"),
        ("DO $$ BEGIN LOCK TABLE users; END $$", "LOCK TABLE users;"),
        ("DO $x$\nBEGIN\n  PERFORM 1;\n  LOCK users;\nEND\n$x$", "LOCK users;"),
        ("DO $$ BEGIN IF true THEN TRUNCATE users; END IF; END $$", "TRUNCATE users;"),
    ],
)
def test_lock_is_found_wherever_it_is_taken(statements: str, found: str) -> None:
    findings = lint("bad.py", f"BEGIN;\n\n{statements};\n\nCOMMIT;\n")

    own = [lock.rule for lock in LOCKS]
    assert [finding.statement for finding in findings if finding.rule in own] == [found]


def test_rule_without_a_remedy_is_explained_elsewhere() -> None:
    (finding,) = lint("bad.py", "DROP DATABASE app;")

    assert "squawkhq.com/docs/ban-drop-database" in finding.remedy


def test_statement_that_is_meant_says_so() -> None:
    statement = "-- squawk-ignore ban-drop-column\nALTER TABLE users DROP COLUMN name"

    assert lint("meant.py", f"BEGIN;\n\n{statement};\n\nCOMMIT;\n") == []


@pytest.mark.parametrize(
    "statements",
    [
        "-- lock-ignore truncating-table\nTRUNCATE users",
        "CREATE TABLE tags (id INTEGER);\n\nALTER TABLE tags ADD COLUMN x INTEGER CHECK (x > 0)",
        "REFRESH MATERIALIZED VIEW CONCURRENTLY totals",
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$\nBEGIN\nTRUNCATE users;\nEND $$",
        "-- lock-ignore locking-table\nDO $$ BEGIN LOCK TABLE users; END $$",
        "CREATE TABLE IF NOT EXISTS tags (id INTEGER);\n\nTRUNCATE tags",
        "CREATE TABLE tags (id INTEGER);\n\nALTER TABLE IF EXISTS ONLY tags SET UNLOGGED",
        "CREATE TABLE tags (id INTEGER);\n\nVACUUM (FULL) tags",
        "ALTER TABLE users ADD COLUMN a int, ADD CONSTRAINT c CHECK (a > 0) NOT VALID",
        "ALTER TYPE state ADD VALUE 'new'",
        "SELECT '--', \"a;\nTRUNCATE\"",
    ],
)
def test_harmless_statements_pass(statements: str) -> None:
    assert lint("good.py", f"BEGIN;\n\n{statements};\n\nCOMMIT;\n") == []


def test_remedies_can_be_followed() -> None:
    unique, exclude = (
        lint("bad.py", f"ALTER TABLE users ADD CONSTRAINT c {kind};\n")[0].remedy
        for kind in ("UNIQUE (age)", "EXCLUDE USING gist (a WITH &&)")
    )
    assert "postgresql_not_valid" not in unique + exclude
    (longer,) = lint("bad.py", "BEGIN;\nALTER TABLE users ALTER COLUMN age TYPE text;\nCOMMIT;\n")
    assert "longer VARCHAR" in str(longer)
    assert "-- squawk-ignore changing-column-type" in str(longer)


def test_revision_that_reads_says_how_to_print_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = PLANTED.partition("def upgrade")[0] + (
        'def upgrade() -> None:\n    op.get_bind().execute(sa.text("SELECT 1")).all()\n'
    )

    said = check(reading, tmp_path, monkeypatch)

    assert said.startswith("bad_add_index.py cannot be printed as SQL")
    assert "op.execute" in said
    assert "is_offline_mode" in said
