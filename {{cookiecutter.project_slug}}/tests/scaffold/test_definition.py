"""What can be typed after `app new`, and what is refused."""

import base64
import re
import shlex
import shutil
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import pydantic
import pytest
from pydantic import TypeAdapter

from app.cli.commands import CommandError
from app.core import types
from app.core.config import Settings
from app.core.env_file import PROJECT
from app.core.pagination import decode_cursor, encode_cursor
from app.dependencies.pagination import PageCursor
from app.exceptions import ValidationError
from app.schemas.page import PageQuery
from scaffold.definition import define
from scaffold.fields import Field
from scaffold.kinds import KINDS, MANY, MAX_INDEXED_LENGTH
from scaffold.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project without resources of its own, whose names would be taken."""
    (tmp_path / "app/models").mkdir(parents=True)
    for name in ("user", "idempotency_key"):
        shutil.copy(PROJECT / f"app/models/{name}.py", tmp_path / "app/models")
    return Project(tmp_path)


@pytest.mark.parametrize(
    ("name", "plural", "path"),
    [
        ("article", "articles", "/articles"),
        ("BookShelf", "book_shelves", "/book-shelves"),
        ("book-shelf", "book_shelves", "/book-shelves"),
        ("category", "categories", "/categories"),
        ("person", "people", "/people"),
        ("address", "addresses", "/addresses"),
        ("order", "orders", "/orders"),
        ("item", "items", "/items"),
        ("bus", "buses", "/buses"),
        ("analysis", "analyses", "/analyses"),
        ("campus_map", "campus_maps", "/campus-maps"),
        ("alias", "aliases", "/aliases"),
        ("APIKey", "api_keys", "/api-keys"),
    ],
)
def test_plural_is_the_usual_one(project: Project, name: str, plural: str, path: str) -> None:
    resource = define(project, name, ["title:str:20"])

    assert (resource.plural, resource.path) == (plural, path)


def test_plural_may_be_another_one(project: Project) -> None:
    assert define(project, "news", ["title:str:20"], "news_items").plural == "news_items"


def test_command_is_remembered_as_a_shell_takes_it(project: Project) -> None:
    fields = ["title:str:20^=it's", "options:json?={}"]

    command = define(project, "news", fields, "news_items").command

    assert shlex.split(command) == ["news", *fields, "--plural", "news_items"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("user", "the model User"),
        ("class", "a keyword of Python"),
        ("list", "a built-in function"),
        ("request", "a variable of the code"),
        ("analyse", "the plural"),
        ("1st", "use letters from a to z"),
        ("café", "use letters from a to z"),
        ("", "use letters from a to z"),
        ("order_", "use letters from a to z"),
        ("self", "a variable of the code"),
        ("field", "a variable of the code"),
        ("read", "a variable of the code"),
        ("none", "Python has a None"),
        ("warning", "Python has a Warning"),
        ("aux", "a device on Windows"),
        ("a", "'as' cannot be the name of a table: .* plural of a by --plural"),
        ("news", "--plural news_items"),
        ("metric", "routes at /metrics"),
        ("articles", "give the singular, article. If articles is a singular"),
        ("menus", "give the singular, menu"),
        ("a" * 60, "63 characters"),
    ],
)
def test_name_of_a_resource_is_refused(project: Project, name: str, reason: str) -> None:
    plural = "all" if name == "analyse" else None
    reason = "a reserved word of SQL" if plural else reason
    with pytest.raises(CommandError, match=reason):
        define(project, name, ["title:str:20"], plural)


@pytest.mark.parametrize("plural", ["pg_things", "pgqueuer", "alembic_version", "select"])
def test_table_of_another_owner_is_refused(project: Project, plural: str) -> None:
    with pytest.raises(CommandError, match=f"'{plural}' cannot be the name of a table"):
        define(project, "thing", ["title:str:20"], plural)


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ("title", "write NAME:TYPE"),
        ("title:varchar", "neither a type .* Do you mean str"),
        ("done:Boolean", "neither a type .* Do you mean bool"),
        ("author:users", "neither a type .* Do you mean user"),
        ("title:thingamajig", r"nor many:RESOURCE$"),
        ("tags:many:tag", "no resource tag yet; write that first, or write many:RESOURCE"),
        ("tags:many", "write many:RESOURCE, where the resource is one of user"),
        ("title?:str:20", r"\? belongs behind the type .* write 'title:str:20\?'"),
        ("title:str!:20", "! belongs behind the type .* write 'title:str:20!'"),
        ("title:str:20=untitled?", r"\? belongs .* write 'title:str:20\?=untitled'"),
        ("title:str:20?=untitled?!", r"! belongs .* write 'title:str:20\?!=untitled'"),
        ("at:datetime=now^", r"\^ belongs .* before a default: write 'at:datetime\^=now'"),
        ("title:str", "maximum length"),
        ("title:str:0", "maximum length"),
        ("title:str:ten", "maximum length"),
        ("title:int:4", "no arguments"),
        ("title:str:20??", "a mark twice"),
        ("title:str:1000^", "cannot index more than 600 characters .* as in title:str:600"),
        ("body:text!", "cannot index more than 600 characters .* as in body:text:600"),
        ("body:text:601^", "cannot index more than 600 characters"),
        ("title:str:3=long", "cannot be the default"),
        ('title:str:20=a"b', "cannot be the default"),
        ("body:json^", "cannot have an index .* a field of its own"),
        ("body:json!", "cannot be unique .* a field of its own"),
        ("is_public:bool?!", r"cannot be unique .* take an enum, as in 'place:enum:first,last\?!'"),
        ("status:enum:draft,published!", "no more rows than there are values; make it optional"),
        ("is_public:bool=maybe", "is_public:bool=false"),
        ("title:str:２０", "maximum length"),
        ("views:int=9999999999", "cannot be the default"),
        ("views:int=2147483648", "cannot be the default"),
        ("views:int=007", "cannot be the default"),
        ("views:int=１", "cannot be the default"),
        ("size:bigint=9007199254740992", "cannot be the default"),
        ("rating:float=007", "cannot be the default"),
        ("price:decimal:5:2=１", "cannot be the default"),
        ("views:int!=0", "cannot be unique"),
        ("price:decimal:2:3", "precision"),
        ("price:decimal:5:2=1000.00", "cannot be the default"),
        ("day:date=2026-02-30", "cannot be the default"),
        ("status:enum:draft", "two or more different values"),
        ("status:enum:draft,draft", "two or more different values"),
        ("status:enum:in review,done", "values of letters and digits .* between them"),
        ("status:enum:-draft,done", "values of letters and digits .* between them"),
        ("status:enum:entwürfe,done", "values of letters and digits .* between them"),
        ("status:enum:draft,published=gone", "cannot be the default"),
        ("class:int", "a keyword of Python"),
        ("order:int", "a reserved word of SQL"),
        ("id:int", "a column of every table"),
        ("version:int", "a column of every table"),
        ("json:json", "an attribute of Pydantic's models"),
        ("model_year:int", "Pydantic reserves"),
        ("columns:int", "a method of the bodies"),
        ("date:date", "the name of a type"),
        ("limit:int^", "a reserved word of SQL"),
        ("sort:int^", "another parameter"),
        ("after:int^", "another parameter"),
        ("statement:str:20^", "another parameter"),
        ("n:int!", "another parameter"),
        ("make:user", "a variable of the code"),
        ("type:user", "a required reference: it is a built-in function"),
        ("types:many:user", "'type' cannot be the name of a link: it is a built-in function"),
        ("author:user:delete", "cascade, restrict, set_null"),
        ("author:user:set_null", "optional"),
        ("author:user^", "an index in any case"),
        ("author:user=1", "no default, because there may be no row"),
        ("parent:article", "make it optional"),
        ("readers:many:user?", "no marks"),
        ("key:idempotency_key", "make_idempotency_key"),
        ("article:int", "'article' would occur twice, for 'article' and for 'article:int'"),
        ("articles:int", "'articles' would occur twice, for 'article' and for 'articles:int'"),
        ("register:int", "an attribute of Pydantic's models"),
        ("mro:int", "an attribute of Pydantic's models"),
        ("l:int", "a letter that looks like a digit"),
        ("article_create:str:20", "ArticleCreate"),
        ("title_author_of_the_longest_name_that_one_can_think_of:int^", "63 characters"),
    ],
)
def test_field_is_refused(project: Project, field: str, reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        define(project, "article", ["text:text", field])


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (
            ["title:int", "title:str:20"],
            "'title' would .* 'title:int' and for 'title:str:20': rename one",
        ),
        (
            ["author:user", "author_id:int"],
            "'author_id' would .* for 'author:user' and for 'author_id:int'",
        ),
        (["price:decimal:5:2^", "price_from:int^"], "'price_from' would .* for 'price:decimal"),
        (["author:user"], "a field that can be changed"),
        (
            ["phase_2:enum:a,b", "phase2:str:10"],
            "its type is Phase2, a name that is in use already",
        ),
        (["text:str:20", "article_text:enum:a,b"], "its type is ArticleText, a name"),
    ],
)
def test_fields_are_refused_together(project: Project, fields: list[str], reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        define(project, "article", fields)


@pytest.mark.parametrize(
    ("field", "argument", "default"),
    [
        ("title:str:0020", "20", ""),
        ("views:int=2147483647", None, "2147483647"),
        ("size:bigint=-9007199254740991", None, "-9007199254740991"),
        ("rating:float=-0.5", None, "-0.5"),
        ("price:decimal:5:2=-0.50", None, 'Decimal("-0.50")'),
    ],
)
def test_numbers_are_written_as_python_has_them(
    project: Project, field: str, argument: str | None, default: str
) -> None:
    (parsed,) = define(project, "article", [field]).fields

    assert (parsed.arguments.get("length"), parsed.body_default) == (argument, default)


def cursor_type(project: Project, field: str) -> Any:
    """Return the type of the values of a field in cursors."""
    (parsed,) = define(project, "article", [field]).fields
    words = vars(types) | {"Annotated": Annotated, "Decimal": Decimal}
    words |= {"FiniteFloat": pydantic.FiniteFloat}
    made = type("Made", (), {"__annotations__": {"value": parsed.code(parsed.kind.cursor)}})
    return get_type_hints(made, words, include_extras=True)["value"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title:str:20^", "Title"),
        ("views:int^", -(2**31)),
        ("size:bigint^", 2**53 - 1),
        ("price:decimal:5:2^", Decimal("-999.99")),
        ("weight:decimal:12:8^", Decimal("0E-8")),
        ("share:decimal:3:3^", Decimal("0.001")),
        ("rating:float^", 1e308),
        ("starts_on:date^", date.max),
        ("starts_at:datetime^", datetime.max.replace(tzinfo=UTC)),
    ],
)
def test_value_that_is_stored_fits_into_a_cursor(
    project: Project, field: str, value: object
) -> None:
    cursor = encode_cursor("a", value, 1)

    assert decode_cursor(cursor, "a", cursor_type(project, field)) == (value, 1)


# Four bytes in UTF-8, and six in JSON.
@pytest.mark.parametrize("character", ["\U0001f600", "\x01"])
def test_longest_cursor_is_accepted_with_any_setting(character: str) -> None:
    cursor = encode_cursor(f"-{'x' * 62}", character * MAX_INDEXED_LENGTH, 2**53 - 1)
    (limit,) = (one.ge for one in Settings.model_fields["max_query_bytes"].metadata)

    assert PageQuery(cursor=cursor).cursor == TypeAdapter(PageCursor).validate_python(cursor)
    assert len(cursor) + 500 < limit


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("title:str:20^", ('"\\u0000"', '"\\ud800"')),
        ("views:int^", ("2147483648",)),
        ("size:bigint^", ("9223372036854775808",)),
        (
            "price:decimal:5:2^",
            ('"1e999999"', '"0e99999999"', '"0e-99999999"', '"NaN"', '"1000"', '"0.001"', "0e9"),
        ),
        ("rating:float^", ("1e999", '"NaN"', "NaN")),
        ("starts_on:date^", ('"10000-01-01"', '"0000-01-01"')),
        ("starts_at:datetime^", ('"9999-12-31T23:59:59-01:00"', '"0001-01-01T00:00:00+01:00"')),
    ],
)
def test_forged_cursor_with_a_value_that_no_column_holds_is_refused(
    project: Project, field: str, values: Sequence[str]
) -> None:
    kind = cursor_type(project, field)
    for value in values:
        cursor = base64.urlsafe_b64encode(f'["a", {value}, 1]'.encode()).decode()
        with pytest.raises(ValidationError):
            decode_cursor(cursor, "a", kind)


def test_first_user_whom_each_row_has_is_the_owner(project: Project) -> None:
    fields = ["editor:user?", "author:user", "reviewer:user", "title:str:20"]

    resource = define(project, "article", fields)

    assert resource.owner
    assert resource.owner.name == "author"
    assert {one.name: one.ondelete for one in resource.references} == {
        "editor": "SET NULL",
        "author": "CASCADE",
        "reviewer": "CASCADE",
    }


def test_table_of_links_that_is_there_is_refused(project: Project) -> None:
    model = project.root / "app/models/user.py"
    text = model.read_text(encoding="utf-8").replace('"users"', '"article_readers"')
    model.with_name("reader.py").write_text(text.replace("class User", "class Reader"), "utf-8")

    with pytest.raises(CommandError, match="there is a table article_readers already"):
        define(project, "article", ["title:str:20", "readers:many:user"])


HOWTO = PROJECT / "docs/howto/resources.md"
NO_INDEX = {"a reference": "no: it has an index anyway"}


def marks_of(project: Project, field: str, default: str) -> list[str]:
    """Return which marks a field can have, in the words of the table in the how-to."""

    def marked(mark: str) -> Field | None:
        with suppress(CommandError):
            return define(project, "article", ["text:text", field + mark]).fields[1]
        return None

    assert marked(default) if default else not marked("=1")
    unique = "yes" if marked("!") else "with `?`" if marked("?!") else "no"
    order = "no"
    if indexed := marked("^"):
        filters, sorts = (
            ("filters by a range", ", and sorts") if indexed.is_range else ("filters", " and sorts")
        )
        order = filters + sorts if indexed.sorts else filters
    return ["yes" if marked("?") else "no", unique, order]


def test_how_to_says_which_marks_each_type_takes(project: Project) -> None:
    text = HOWTO.read_text(encoding="utf-8")
    table = text.partition("| type | `?` |")[2].partition("\n\n")[0]
    said = {
        cells[0].strip("`"): cells[1:]
        for row in table.splitlines()[2:]
        if (cells := [cell.strip() for cell in row.strip("| ").split("|")])
    }
    examples = {name: kind.default_example for name, kind in KINDS.items()}

    expected = {}
    for name, example in {
        **examples,
        "a reference": "editor:user",
        MANY: "readers:many:user",
    }.items():
        field, equals, value = example.partition("=")
        optional, unique, order = marks_of(project, field, equals + value)
        order = NO_INDEX.get(name, order)
        expected[name] = [optional, unique, order, f"`{example}`" if equals else "no"]
    assert said == expected
    no_index = f"`text` of more than {MAX_INDEXED_LENGTH} characters has neither `!` nor `^`"
    assert no_index in " ".join(text.split())


def test_how_to_has_an_example_of_each_type(project: Project) -> None:
    table = HOWTO.read_text(encoding="utf-8").partition("| type | column |")[2].partition("\n\n")[0]
    examples = re.findall(r"`(\w+:[^`]+)`", table)
    values = [one for one in examples if one.split(":")[1] in KINDS]

    assert {one.split(":")[1] for one in examples} == {*KINDS, "user", MANY}
    for one in values:
        assert define(project, "article", ["text:text", one]).fields[1].text == one
