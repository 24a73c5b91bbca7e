"""Names that Python, PostgreSQL, libraries and the written code have taken."""

import builtins
import keyword
from typing import Final

from pydantic import BaseModel

from app.schemas.base import PatchBody

KEYWORDS: Final = frozenset(keyword.kwlist)
BUILTINS: Final = frozenset(dir(builtins))
FUNCTIONS: Final = frozenset(name for name in BUILTINS if name.islower())
# `SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', 'T')`
SQL: Final = frozenset(
    [
        "all",
        "analyse",
        "analyze",
        "and",
        "any",
        "array",
        "as",
        "asc",
        "asymmetric",
        "authorization",
        "binary",
        "both",
        "case",
        "cast",
        "check",
        "collate",
        "collation",
        "column",
        "concurrently",
        "constraint",
        "create",
        "cross",
        "current_catalog",
        "current_date",
        "current_role",
        "current_schema",
        "current_time",
        "current_timestamp",
        "current_user",
        "default",
        "deferrable",
        "desc",
        "distinct",
        "do",
        "else",
        "end",
        "except",
        "false",
        "fetch",
        "for",
        "foreign",
        "freeze",
        "from",
        "full",
        "grant",
        "group",
        "having",
        "ilike",
        "in",
        "initially",
        "inner",
        "intersect",
        "into",
        "is",
        "isnull",
        "join",
        "lateral",
        "leading",
        "left",
        "like",
        "limit",
        "localtime",
        "localtimestamp",
        "natural",
        "not",
        "notnull",
        "null",
        "offset",
        "on",
        "only",
        "or",
        "order",
        "outer",
        "overlaps",
        "placing",
        "primary",
        "references",
        "returning",
        "right",
        "select",
        "session_user",
        "similar",
        "some",
        "symmetric",
        "system_user",
        "table",
        "tablesample",
        "then",
        "to",
        "trailing",
        "true",
        "union",
        "unique",
        "user",
        "using",
        "variadic",
        "verbose",
        "when",
        "where",
        "window",
        "with",
    ]
)
# Letters that look like digits. ruff refuses `l` as a name, and `I` and `O` as those of types (E741, E742).
AMBIGUOUS: Final = frozenset("ilo")
# Columns of every table, and what SQLAlchemy gives a model.
MODEL: Final = frozenset(
    {"id", "created_at", "updated_at", "version", "etag", "metadata", "registry", "self"}
)
BODY: Final = frozenset(
    name for name in {*dir(BaseModel), *dir(type(BaseModel))} if not name.startswith("_")
)
PATCH: Final = frozenset(name for name in dir(PatchBody) if not name.startswith("_")) - BODY
# Types in annotations of the same class.
TYPES: Final = frozenset({"bool", "date", "datetime", "dict", "float", "int", "list", "str"})
# Variables of factories, whose parameters are the references.
FACTORY: Final = frozenset({"defaults", "make", "number", "serial", "values"})
# Parameters of lists: of the query, of the repository, and of its statements.
QUERY: Final = frozenset({"after", "cursor", "last_0", "last_1", "limit", "n", "sort", "statement"})
# Tables without a model.
TABLES: Final = frozenset(
    {"alembic_version", "pgqueuer", "pgqueuer_log", "pgqueuer_schedules", "pgqueuer_statistics"}
)
# Windows has no files of these names, whatever their suffix is.
WINDOWS: Final = frozenset({"aux", "con", "nul", "prn"}) | {
    f"{device}{number}" for device in ("com", "lpt") for number in range(1, 10)
}
# What the code that is written, and FastAPI, use as names of variables.
VARIABLES: Final = frozenset(
    [
        "after",
        "body",
        "caller",
        "client",
        "cls",
        "column",
        "cursor",
        "data",
        "expected",
        "field",
        "filters",
        "if_match",
        "limit",
        "make",
        "page",
        "parameter",
        "query",
        "request",
        "response",
        "self",
        "session",
        "sort",
        "status",
        "value",
        "values",
    ]
)
# Refused for a singular only, because they occur beside it.
VARIABLES_BESIDE_ONE: Final = frozenset(
    {"ids", "is_found", "linked", "links", "params", "read", "rows"}
)
# Refused for a plural only, because they occur beside it.
VARIABLES_BESIDE_MANY: Final = frozenset({"seen", "start", "url"})
