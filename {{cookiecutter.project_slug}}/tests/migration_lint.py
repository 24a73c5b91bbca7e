"""Finds locks in migrations that block a table in use, with squawk (squawkhq.com/docs/rules)."""

import io
import json
import os
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

# Rules that are not about locks, or that all migrations follow.
IGNORED_RULES: Final = (
    "prefer-bigint-over-int",
    "prefer-text-field",
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
    "adding-foreign-key-constraint": _NOT_VALID,
    "ban-concurrent-index-creation-in-transaction": _CONCURRENTLY,
    "ban-drop-column": _DROP_LATER,
    "ban-drop-constraint": _DROP_LATER,
    "ban-drop-not-null": _DROP_LATER,
    "ban-drop-table": _DROP_LATER,
    "changing-column-type": (
        "Add a column of the new type, write to both, copy the old rows in batches, and drop the "
        "old column in a later release."
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
    """Return what squawk finds in the SQL of the migration at `path`."""
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
    findings = [
        Finding(
            path=path,
            statement=_statement_at(sql.splitlines(), found["line"]),
            rule=found["rule_name"],
            problem=found["message"],
            remedy=_remedy(found["rule_name"], found["help"]),
        )
        for found in json.loads(completed.stdout)
    ]
    assert (completed.returncode == 0) is not bool(findings), completed
    return findings


def sql_of(step: Script, config: Config) -> str:
    """Return the SQL of a revision's upgrade."""
    config.output_buffer = buffer = io.StringIO()
    before = f"{step.down_revision}:" if step.down_revision else ""
    command.upgrade(config, f"{before}{step.revision}", sql=True)
    return buffer.getvalue()


def check_locks(step: Script, config: Config) -> None:
    """Fail the test with all findings of squawk in a revision."""
    findings = lint(os.path.relpath(step.path), sql_of(step, config))
    if findings:
        pytest.fail("\n\n".join(str(finding) for finding in findings), pytrace=False)


def _remedy(rule: str, squawk_help: str | None) -> str:
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
