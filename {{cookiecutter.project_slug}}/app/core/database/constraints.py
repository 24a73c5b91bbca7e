"""Domain errors of constraint violations, declared beside each constraint in the models.

The database enforces such rules, because a check before the write loses the race against a second
client. A test fails if a unique, foreign-key or check constraint declares no error.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import Constraint, ForeignKeyConstraint, Index, MetaData, Table

from app.core.database.drivers import ConstraintViolation
from app.core.database.metadata import metadata
from app.exceptions import AppError, ConflictError

_KEY: Final = "refusal"

# The wording depends on the server's language; `(columns)=(values)` does not.
_VALUE: Final = re.compile(r"\((?P<columns>.*?)\)=\((?P<value>.*)\)", re.DOTALL)
# Functions and types in `lower((email)::text)`, which are not columns.
_NO_COLUMN: Final = re.compile(r"::[\w ]+|\w+(?=\()")
_DELETION: Final = re.compile(r"\s*DELETE\b", re.IGNORECASE)


class Refusal(NamedTuple):
    """The error of a constraint."""

    error: type[AppError]
    message: str
    still_used: str = ""


def refusal(error: type[AppError], message: str, *, still_used: str = "") -> dict[str, Any]:
    """Return the `info` of a constraint, foreign key or unique index that raises this error.

    `{value}` in the message is replaced by the refused value as the constraint sees it, which is
    lower-cased for an index on `lower(...)`. `still_used` is the message of the `ConflictError` if a
    foreign key keeps a row that it refers to from being deleted.
    """
    return {_KEY: Refusal(error, message, still_used)}


def domain_error(violation: ConstraintViolation, statement: str = "") -> AppError | None:
    """Return the declared error of a violation, or None if the constraint declares none.

    Its field is the column, unless the constraint has several. `statement` is the SQL that was
    refused, if it was not a COMMIT.
    """
    refusals = declared_refusals()
    if violation.constraint not in refusals:
        return None
    found = refusals[violation.constraint]
    match = _VALUE.search(violation.detail)
    columns = re.findall(r"\w+", _NO_COLUMN.sub("", match["columns"])) if match else []
    value = match["value"] if match else "given"
    # A foreign key refuses a new row or a deletion, mostly with the same SQLSTATE and table. Row-level
    # security hides the columns: the foreign key's own for a new row, the referenced ones for a
    # deletion. At COMMIT, for a deferred constraint, only they tell.
    if found.still_used and (_DELETION.match(statement) or columns[-1:] == ["id"]):
        return ConflictError(found.still_used.format(value=value))
    return found.error(
        found.message.format(value=value), field=columns[0] if len(columns) == 1 else None
    )


@cache
def declared_refusals(of: MetaData = metadata) -> dict[str, Refusal]:
    """Return the declared errors of all tables by constraint name. Import the models first."""
    return {
        str(constraint.name): info[_KEY]
        for table in of.tables.values()
        for constraint in _constraints(table)
        if _KEY in (info := _info(constraint))
    }


def _constraints(table: Table) -> Iterator[Constraint | Index]:
    yield from table.constraints
    yield from table.indexes


def _info(constraint: Constraint | Index) -> dict[str, Any]:
    """Return the `info`. A foreign key that is declared on a column keeps it in its element."""
    if isinstance(constraint, ForeignKeyConstraint):
        return constraint.info | constraint.elements[0].info
    info: dict[str, Any] = constraint.info
    return info
