"""Names: their forms, and those that are taken by Python, PostgreSQL and the libraries."""

import builtins
import keyword
import re
from functools import cache
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel

from app.cli.commands import CommandError
from app.schemas.base import PatchBody

if TYPE_CHECKING:
    import inflect

NAME: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
# PostgreSQL cuts off what is longer.
MAX_IDENTIFIER: Final = 63

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
# Columns of every table, and what SQLAlchemy gives a model.
MODEL: Final = frozenset(
    {"id", "created_at", "updated_at", "version", "metadata", "registry", "self"}
)
BODY: Final = frozenset(name for name in dir(BaseModel) if not name.startswith("_"))
PATCH: Final = frozenset(name for name in dir(PatchBody) if not name.startswith("_")) - BODY
# Types in annotations of the same class.
TYPES: Final = frozenset({"bool", "date", "datetime", "dict", "float", "int", "list", "str"})
# Variables of factories, whose parameters are the references.
FACTORY: Final = frozenset({"defaults", "make", "number", "serial", "values"})
# Parameters of lists: of the query, of the repository, and of its statements.
QUERY: Final = frozenset({"after", "cursor", "last_0", "last_1", "limit", "n", "sort", "statement"})
# Variables of the generated code, and of FastAPI's.
VARIABLES: Final = frozenset(
    [
        "after",
        "body",
        "caller",
        "client",
        "column",
        "cursor",
        "data",
        "expected",
        "filters",
        "first",
        "if_match",
        "item",
        "items",
        "limit",
        "make",
        "make_live",
        "number",
        "page",
        "position",
        "query",
        "request",
        "response",
        "row",
        "rows",
        "second",
        "seen",
        "session",
        "sort",
        "statement",
        "status",
        "value",
        "values",
    ]
)


@cache
def _engine() -> "inflect.engine":
    try:
        import inflect
    except ImportError:
        raise CommandError(
            "inflect is missing, a development dependency that knows plurals: install with `uv sync`"
        ) from None
    return inflect.engine()


def snake_case(name: str) -> str:
    """Return `book_shelf` for `BookShelf`, `book-shelf` and `book_shelf`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|-", "_", name).lower()


def class_case(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def plural_of(singular: str) -> str:
    """Return the plural of a name in the singular. Raises `CommandError` if it has none of its own."""
    *before, word = singular.split("_")
    singular_word = str(_engine().singular_noun(word) or word)
    plural = str(_engine().plural_noun(word))
    if plural == word:
        raise CommandError(
            f"The plural of {singular} is the same: name another one, such as "
            f"--plural {singular}_items"
        )
    if singular_word != word and _engine().plural_noun(singular_word) == word:
        given = "_".join([*before, singular_word])
        raise CommandError(
            f"{singular} seems to be a plural: give the singular, {given}, or if it is one, name its "
            f"plural by --plural"
        )
    return "_".join([*before, plural.lower()])


def singular_of(plural: str) -> str:
    """Return the singular of a name in the plural, or the name itself if it is none."""
    *before, word = plural.split("_")
    return "_".join([*before, str(_engine().singular_noun(word) or word)])


def with_article(noun: str) -> str:
    """Return `an article` for `article`."""
    return str(_engine().a(noun))


def refuse_name(name: str, what: str, *taken: tuple[str, frozenset[str]]) -> None:
    """Raise `CommandError` for a name that is malformed, or taken by one of the owners."""
    if not NAME.fullmatch(name):
        raise CommandError(
            f"{name!r} cannot be the name of a {what}: use small letters, digits and underscores, "
            "such as book_shelf"
        )
    for owner, names in (("a keyword of Python", frozenset(keyword.kwlist)), *taken):
        if name in names:
            raise CommandError(f"{name!r} cannot be the name of a {what}: it is {owner}")


def refuse_resource_name(singular: str, plural: str) -> None:
    """Raise `CommandError` if a resource cannot have these names."""
    functions = frozenset(name for name in dir(builtins) if name.islower())
    taken = (
        ("a built-in function of Python", functions),
        ("a variable of the code that would be written", VARIABLES),
    )
    refuse_name(singular, "resource", *taken)
    refuse_name(plural, "resource", ("a reserved word of SQL", SQL), *taken)  # it names the table
    if singular == plural:
        raise CommandError(f"The singular and the plural must differ, and both are {singular}")


def refuse_field_name(name: str, *, is_column: bool) -> None:
    """Raise `CommandError` if a field cannot have this name."""
    refuse_name(
        name,
        "field",
        ("a reserved word of SQL", SQL if is_column else frozenset()),
        ("a variable of the code that would be written", frozenset() if is_column else FACTORY),
        ("a column of every table, or an attribute of every model", MODEL),
        ("an attribute of Pydantic's models", BODY),
        ("a method of the bodies of requests", PATCH),
        ("the name of a type", TYPES),
    )
    if name.startswith("model_"):
        raise CommandError(f"{name!r} cannot be the name of a field: Pydantic reserves `model_`")
