"""Names: their forms, and which are refused."""

import re
from functools import cache
from typing import TYPE_CHECKING, Final

from app.cli.commands import CommandError
from scaffold import taken

if TYPE_CHECKING:
    import inflect

NAME: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
# PostgreSQL cuts off what is longer.
MAX_IDENTIFIER: Final = 63
# What a name is that cannot be given.
FUNCTION: Final = "a built-in function of Python"
VARIABLE: Final = "a variable of the code that would be written"

# Words that end as plurals do. Of those in -us, -sis and -xis, a few are plurals nevertheless.
_SINGULAR: Final = re.compile(r".*(us|[sx]is)|alias|atlas|bias|canvas|gas|iris|lens")
_PLURALS: Final = frozenset({"bureaus", "cpus", "emus", "gpus", "gurus", "menus", "taxis"})


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
    """Return `book_shelf` for `BookShelf`, `book-shelf` and `book_shelf`, and `api_key` for `APIKey`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|-", "_", name).lower()


def class_case(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def path_of(plural: str) -> str:
    """Return the path of a resource's routes: `/book-shelves` for `book_shelves`."""
    return f"/{plural.replace('_', '-')}"


def plural_of(singular: str) -> str:
    """Return the plural of a name in the singular. Raises `CommandError` if it has none of its own."""
    *before, word = singular.split("_")
    is_singular = _SINGULAR.fullmatch(word) and word not in _PLURALS
    singular_word = word if is_singular else str(_engine().singular_noun(word) or word)
    plural = str(_engine().plural_noun(word))
    if plural == word:
        raise CommandError(
            f"The plural of {singular} is the same: name another one, such as "
            f"--plural {singular}_items"
        )
    if singular_word != word and _engine().plural_noun(singular_word) == word:
        given = "_".join([*before, singular_word])
        raise CommandError(
            f"{singular} seems to be a plural: give the singular, {given}. If {singular} is a singular, "
            "name its plural by --plural"
        )
    return "_".join([*before, plural.lower()])


def singular_of(plural: str) -> str:
    """Return the singular of a name in the plural, or the name itself if it is none."""
    *before, word = plural.split("_")
    return "_".join([*before, str(_engine().singular_noun(word) or word)])


def with_article(noun: str) -> str:
    """Return `an article` for `article`."""
    return str(_engine().a(noun))


def refuse_name(name: str, what: str, *owners: tuple[str, frozenset[str]]) -> None:
    """Raise `CommandError` for a name that is malformed, or taken by one of the owners."""
    if not NAME.fullmatch(name):
        raise CommandError(
            f"{name!r} cannot be the name of a {what}: use letters from a to z, and after them digits "
            "and single underscores, as in book_shelf"
        )
    for owner, names in (
        ("a keyword of Python", taken.KEYWORDS),
        ("a letter that looks like a digit", taken.AMBIGUOUS),
        *owners,
    ):
        if name in names:
            raise CommandError(f"{name!r} cannot be the name of a {what}: it is {owner}")


def refuse_resource_name(singular: str, plural: str) -> None:
    """Raise `CommandError` if a resource cannot have these names."""
    function = (FUNCTION, taken.FUNCTIONS)
    beside_one = (VARIABLE, taken.VARIABLES | taken.VARIABLES_BESIDE_ONE)
    refuse_name(singular, "resource", ("a device on Windows", taken.WINDOWS), function, beside_one)
    class_name = class_case(singular)
    if class_name in taken.KEYWORDS | taken.BUILTINS:
        raise CommandError(
            f"{singular!r} cannot be the name of a resource: Python has a {class_name} of its own"
        )
    try:
        refuse_name(
            plural,
            "table",
            ("a reserved word of SQL", taken.SQL),
            ("a table of a library", taken.TABLES),
            function,
            (VARIABLE, taken.VARIABLES | taken.VARIABLES_BESIDE_MANY),
        )
        if plural.startswith("pg_"):
            raise CommandError(
                f"{plural!r} cannot be the name of a table: PostgreSQL reserves `pg_`"
            )
    except CommandError as error:
        raise CommandError(f"{error}. Name another plural of {singular} by --plural") from None
    if singular == plural:
        raise CommandError(f"The singular and the plural must differ, and both are {singular}")


def refuse_field_name(name: str, *, is_column: bool) -> None:
    """Raise `CommandError` if a field cannot have this name."""
    refuse_name(
        name,
        "field",
        ("a reserved word of SQL", taken.SQL if is_column else frozenset()),
        (VARIABLE, frozenset() if is_column else taken.FACTORY),
        ("a column of every table, or an attribute of every model", taken.MODEL),
        ("an attribute of Pydantic's models", taken.BODY),
        ("a method of the bodies of requests", taken.PATCH),
        ("the name of a type", taken.TYPES),
    )
    if name.startswith("model_"):
        raise CommandError(f"{name!r} cannot be the name of a field: Pydantic reserves `model_`")
