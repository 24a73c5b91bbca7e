"""Finds locks in migrations that block a table in use, with squawk (squawkhq.com/docs/rules).

Some statements that squawk lets pass are in `LOCKS`.
"""

import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent
from typing import Final

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import Script

from tests.sql_statements import created_by, statements_of, tables_of

# Rules that are not about locks, or that all migrations follow.
IGNORED_RULES: Final = (
    "prefer-bigint-over-int",
    "prefer-text-field",
    "require-enum-value-ordering",
    "require-lock-timeout",  # set by alembic/env.py
    "require-statement-timeout",  # VALIDATE CONSTRAINT and CONCURRENTLY may take long
)

_NOT_VALID: Final = (
    "Pass `postgresql_not_valid=True`, and VALIDATE the constraint in the next revision."
)
_CONCURRENTLY: Final = (
    "Pass `postgresql_concurrently=True`, in a `with op.get_context().autocommit_block():`."
)
_DROP_LATER: Final = (
    "Release code that does not use it first, then drop it in SQL that begins with "
    "`-- squawk-ignore {rule}`."
)
# For rules without a help text in squawk, or with another remedy in Alembic.
REMEDIES: Final = {
    "adding-not-nullable-field": (
        "Add CHECK (... IS NOT NULL) with `postgresql_not_valid=True`. In the next revision VALIDATE it, "
        "and then set NOT NULL, which does not read the table again."
    ),
    "adding-foreign-key-constraint": _NOT_VALID,
    "ban-concurrent-index-creation-in-transaction": _CONCURRENTLY,
    "ban-drop-column": _DROP_LATER,
    "ban-drop-constraint": _DROP_LATER,
    "ban-drop-not-null": _DROP_LATER,
    "ban-drop-table": _DROP_LATER,
    "changing-column-type": (
        "Add a column of the new type, write to both, copy the old rows in batches, and drop the "
        "old column in a later release. A longer VARCHAR or TEXT rewrites nothing: write that in SQL "
        "that begins with `-- squawk-ignore {rule}`."
    ),
    "constraint-missing-not-valid": _NOT_VALID,
    "prefer-robust-stmts": (
        "Pass `if_not_exists=True` or `if_exists=True`, and before CREATE INDEX CONCURRENTLY drop "
        "the INVALID index that a failed attempt leaves."
    ),
    "renaming-column": (
        "Give the model's attribute the new name and keep the column's: "
        "`mapped_column('old_name')`."
    ),
    "renaming-table": "Give the model the new name and keep `__tablename__`.",
    "require-concurrent-index-creation": _CONCURRENTLY,
    "require-concurrent-index-deletion": _CONCURRENTLY,
}
_OTHER: Final = (
    "See squawkhq.com/docs/{rule}; if the statement is intended, begin its SQL with "
    "`-- squawk-ignore {rule}`."
)
_UNIQUE_RULES: Final = {"disallowed-unique-constraint", "adding-serial-primary-key-field"}

_INTENDED: Final = "If it is intended, begin its SQL with `-- lock-ignore {rule}`."


@dataclass(frozen=True)
class Lock:
    """A kind of statement that squawk lets pass, although it locks a table for long."""

    rule: str
    pattern: str  # of the beginning of the statement, with single spaces
    problem: str
    remedy: str = _INTENDED


LOCKS: Final = (
    Lock(
        "adding-column-with-check",
        # Up to the next action, which may be ADD CONSTRAINT ... NOT VALID.
        r"ALTER TABLE .*\bADD COLUMN ((?!, (ADD|ALTER|DROP|VALIDATE|SET|ENABLE)\b).)*\bCHECK ?\(",
        "All rows are checked, while reads and writes are blocked.",
        f"Add the column alone, then the constraint. {_NOT_VALID}",
    ),
    Lock(
        "refresh-without-concurrently",
        r"REFRESH MATERIALIZED VIEW (?!CONCURRENTLY)",
        "Reads of the view are blocked until it is filled.",
        f"Write REFRESH MATERIALIZED VIEW CONCURRENTLY, which needs a unique index. {_INTENDED}",
    ),
    Lock(
        "rewriting-table",
        r"ALTER (TABLE|INDEX|MATERIALIZED VIEW) .*\bSET (LOGGED|UNLOGGED|TABLESPACE|ACCESS METHOD)\b",
        "It is rewritten, while reads and writes are blocked.",
    ),
    Lock(
        "rewriting-table",
        r"(CLUSTER|VACUUM\s*(\([^)]*)?\bFULL)\b",
        "The table is rewritten, while reads and writes are blocked.",
    ),
    Lock(
        "truncating-table",
        r"TRUNCATE\b",
        "Reads and writes are blocked until the transaction ends, and all rows are gone.",
        f"Delete the rows in batches. {_INTENDED}",
    ),
    Lock("locking-table", r"LOCK\b", "The table is locked until the transaction ends."),
)


@dataclass(frozen=True)
class Finding:
    """A statement that breaks a rule."""

    path: str
    statement: str
    rule: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return (
            f"{self.path}\n"
            f"{indent(self.statement, '    ')}\n"
            f"  {self.rule}: {self.problem}\n"
            f"  Remedy: {self.remedy}"
        )


def lint(path: str, sql: str) -> list[Finding]:
    """Return the statements in the SQL of the migration at `path` that break a rule."""
    return [*_found_by_squawk(path, sql), *_found_by_pattern(path, sql)]


def _found_by_squawk(path: str, sql: str) -> list[Finding]:
    squawk = shutil.which("squawk", path=str(Path(sys.executable).parent))
    assert squawk
    completed = subprocess.run(
        [squawk, "--reporter=json", "--pg-version=15", f"--exclude={','.join(IGNORED_RULES)}"],
        input=sql,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert completed.stdout, completed
    breaches = json.loads(completed.stdout)
    assert (completed.returncode == 0) is not bool(breaches), completed
    # UNIQUE and PRIMARY KEY cannot be NOT VALID; the other rule has their remedy.
    unique = {one["line"] for one in breaches if one["rule_name"] in _UNIQUE_RULES}
    return [
        Finding(
            path=path,
            statement=(statement := _statement_at(sql.splitlines(), found["line"])),
            rule=found["rule_name"],
            problem=found["message"],
            remedy=_remedy(found["rule_name"], found["help"], statement),
        )
        for found in breaches
        if found["rule_name"] != "constraint-missing-not-valid" or found["line"] not in unique
    ]


def _found_by_pattern(path: str, sql: str) -> list[Finding]:
    statements = list(statements_of(sql))
    created = {name for _, text in statements if (name := created_by(text))}
    return [
        Finding(path, f"{text};", lock.rule, lock.problem, lock.remedy.format(rule=lock.rule))
        for ignored, text in statements
        for lock in LOCKS
        if re.match(lock.pattern, " ".join(text.split()), re.IGNORECASE)
        and lock.rule not in ignored
        and not tables_of(text) <= created  # not in use yet
    ]


def sql_of(step: Script, config: Config) -> str:
    """Return the SQL of a revision's upgrade."""
    config.output_buffer = buffer = io.StringIO()
    before = f"{step.down_revision}:" if step.down_revision else ""
    try:
        command.upgrade(config, f"{before}{step.revision}", sql=True)
    except AttributeError as error:  # of the result None of a query
        pytest.fail(
            f"{os.path.relpath(step.path)} cannot be printed as SQL ({error}): it reads from the "
            "database. Write the statement with `op.execute`, or guard it by "
            "`if not context.is_offline_mode():` (`from alembic import context`)",
            pytrace=False,
        )
    return buffer.getvalue()


def check_locks(step: Script, config: Config) -> None:
    """Fail the test with all findings in a revision."""
    findings = lint(os.path.relpath(step.path), sql_of(step, config))
    if findings:
        pytest.fail("\n\n".join(str(finding) for finding in findings), pytrace=False)


def _remedy(rule: str, squawk_help: str | None, statement: str) -> str:
    if " EXCLUDE " in statement.upper():  # it cannot be NOT VALID
        return _OTHER.format(rule=rule)
    if rule in REMEDIES or not squawk_help:
        return REMEDIES.get(rule, _OTHER).format(rule=rule)
    return squawk_help


def _statement_at(lines: Sequence[str], number: int) -> str:
    """Return the statement that contains a line. Alembic starts each one on a new line."""
    ends = [index for index, line in enumerate(lines) if line.endswith(";")]
    first = max((end + 1 for end in ends if end < number), default=0)
    last = min((end for end in ends if end >= number), default=len(lines) - 1)
    statement = lines[first : last + 1]
    return "\n".join(line for line in statement if line and not line.startswith("--"))
