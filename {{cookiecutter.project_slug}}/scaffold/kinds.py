"""The types that fields may have, in the words of each layer."""

from dataclasses import dataclass, replace
from typing import Final

# A longer value may not fit into an index of PostgreSQL: four bytes a character, 2704 bytes a row.
MAX_INDEXED_LENGTH: Final = 600


@dataclass(frozen=True)
class Kind:
    """A type, as source code. `{length}` and so on stand for its arguments.

    `body` is the type in requests; it gets a name of its own in the schema if it `is_named`.
    `made` is a value in the tests' factory, from a `number` that is new each time; `sent` are two
    others in JSON, and `refused` is a wrong one. `no_index` and `no_unique` say why it cannot have
    that mark, and what to do.
    """

    python: str
    column: str
    migration: str
    body: str
    sent: tuple[str, str]
    refused: str
    made: str
    is_named: bool = False
    response: str = ""  # otherwise the type in Python
    cursor: str = ""  # the type of a sort value in cursors, if lists may be sorted by it
    # What a list contains if it is filtered by a lower bound, and by an upper one: "a later" date.
    # Without these words, it is filtered by a value.
    range: tuple[str, str] = ("", "")
    no_index: str = ""
    no_unique: str = ""
    defaults: str = ""  # a regular expression
    default_example: str = ""


KINDS: Final[dict[str, Kind]] = {
    "str": Kind(
        python="str",
        column="String({length})",
        migration="sa.String({length})",
        body=(
            "Annotated[str, StringConstraints(min_length=1, max_length={length}), "
            "Field(examples=[{example}]), Visible(one_line=True), Trimmed]"
        ),
        is_named=True,
        cursor="Text",
        sent=("{example}", "{other}"),
        refused='""',
        made="{text}",
        defaults=r".*\S.*",
        default_example="title:str:20=untitled",
    ),
    "text": Kind(
        python="str",
        column="Text",
        migration="sa.Text()",
        body=(
            "Annotated[str, StringConstraints(min_length=1, max_length={length}), "
            "Field(examples=[{example}]), Visible()]"
        ),
        is_named=True,
        cursor="Text",
        sent=("{example}", "{other}"),
        refused='""',
        made="{text}",
        defaults=r".*\S.*",
        default_example="note:text:300=empty",
    ),
    "int": Kind(
        python="int",
        column="",
        migration="sa.Integer()",
        body="Int32",
        cursor="Int32",
        sent=("-1", "-2"),
        refused="2**31",
        made="number",
        defaults=r"0|-?[1-9][0-9]{0,9}",
        default_example="views:int=0",
    ),
    "bigint": Kind(
        python="int",
        column="BigInteger",
        migration="sa.BigInteger()",
        body="SafeInt",
        cursor="SafeInt",
        sent=("-1", "-2"),
        refused="2**53",
        made="number",
        defaults=r"0|-?[1-9][0-9]{0,15}",
        default_example="bytes:bigint=0",
    ),
    "decimal": Kind(
        python="Decimal",
        column="Numeric({precision}, {scale})",
        migration="sa.Numeric({precision}, {scale})",
        body="Annotated[Decimal, ExactDecimal({precision}, {scale})]",
        response="{body}",
        is_named=True,
        # Not `Field(max_digits=...)`, which takes `0e99999999`: a zero that no driver can send.
        cursor="Annotated[Decimal, ExactDecimal({precision}, {scale})]",
        range=("a greater", "a smaller"),
        sent=("{first}", "{second}"),
        refused="1.5",
        made="Decimal(number % 10**{precision}).scaleb(-{scale})",
        defaults=r"-?[0-9]+(\.[0-9]+)?",
        default_example="price:decimal:10:2=0.00",
    ),
    "float": Kind(
        python="float",
        column="Double",
        migration="sa.Double()",
        body="FiniteFloat",
        cursor="FiniteFloat",
        range=("a greater", "a smaller"),
        sent=("-1.5", "-2.5"),
        refused='"many"',
        made="number / 4",
        defaults=r"-?(0|[1-9][0-9]{0,8})(\.[0-9]{1,6})?",
        default_example="rating:float=0.5",
    ),
    "bool": Kind(
        python="bool",
        column="",
        migration="sa.Boolean()",
        body="bool",
        no_unique=(
            "a bool cannot be unique (!), because one row could be true, and one false; take an enum, "
            "as in 'place:enum:first,last?!'"
        ),
        sent=("True", "False"),
        refused='"perhaps"',
        made="True",
        defaults="true|false",
        default_example="is_public:bool=false",
    ),
    "date": Kind(
        python="date",
        column="",
        migration="sa.Date()",
        body="IsoDate",
        response="date",
        cursor="IsoDate",
        range=("a later", "an earlier"),
        sent=('"2025-01-31"', '"2025-02-28"'),
        refused='"soon"',
        made="date(2026, 1, 1) + timedelta(days=number)",
        defaults="[0-9]{4}-[0-9]{2}-[0-9]{2}",
        default_example="starts_on:date=2026-01-31",
    ),
    "datetime": Kind(
        python="datetime",
        column="",
        migration="sa.DateTime(timezone=True)",
        body="UtcDatetime",
        response="datetime",
        cursor="UtcDatetime",
        range=("a later", "an earlier"),
        sent=('"2025-01-31T12:00:00Z"', '"2025-02-28T12:00:00Z"'),
        refused='"2026-01-31T12:00:00"',
        made="datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number)",
        defaults="now",
        default_example="starts_at:datetime=now",
    ),
    "uuid": Kind(
        python="UUID",
        column="",
        migration="sa.Uuid()",
        body="UUID",
        sent=('"{uuid}1"', '"{uuid}2"'),
        refused='"none"',
        made="uuid4()",
        defaults="random",
        default_example="key:uuid=random",
    ),
    "json": Kind(
        python="dict[str, Any]",
        column="JSONB",
        migration="postgresql.JSONB(astext_type=sa.Text())",
        body="JsonObject",
        no_index=(
            "json cannot have an index (^), because PostgreSQL cannot index large objects; take a field "
            "of its own for what lists are filtered by"
        ),
        no_unique=(
            "json cannot be unique (!), because PostgreSQL cannot index large objects; take a field of "
            "its own for what has to be unique"
        ),
        sent=('{"key": "value"}', '{"key": ["other"]}'),
        refused='"text"',
        made='{"number": number}',
        defaults=r"\{\}",
        default_example="options:json={}",
    ),
    "enum": Kind(
        python="str",
        column="String({length})",
        migration="sa.String({length})",
        body="Literal[{values}]",
        response="{body}",
        is_named=True,
        sent=("{first}", "{second}"),
        refused='"no value has blanks"',
        made="{first}",
        defaults=r"[\w-]+",
        default_example="status:enum:draft,published=draft",
    ),
}

# The type of links, as in `tags:many:tag`.
MANY: Final = "many"

# To one row of another resource, and to many.
REFERENCE: Final = Kind(
    python="int",
    column="",
    migration="sa.BigInteger()",
    body="Id",
    sent=("1", "2"),
    refused="0",
    made="",
)
LINKS: Final = replace(REFERENCE, body="list[Id]", response="list[Id]")

# What a new reference does when the row that it refers to is deleted.
ON_DELETE: Final = {"cascade": "CASCADE", "restrict": "RESTRICT", "set_null": "SET NULL"}
