"""A field of a resource, in the words of each layer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from scaffold.kinds import Kind
from scaffold.project import Model
from scaffold.words import path_of


@dataclass(frozen=True)
class Field:
    """A field of a resource, which is a column unless it links to `many` rows."""

    text: str  # as it was typed
    name: str
    kind_name: str
    kind: Kind
    arguments: Mapping[str, str] = field(default_factory=dict)
    target: Model | None = None
    target_name: str = ""
    alias: str = ""  # the name of its type in the schema, if it needs one
    singular: str = ""  # of links, whose name is a plural
    is_many: bool = False
    is_self: bool = False
    is_deletable: bool = False  # there is a route that deletes what it refers to
    ondelete: str = ""
    is_optional: bool = False
    is_unique: bool = False
    is_indexed: bool = False
    default: str | None = None

    @property
    def column(self) -> str:
        if self.is_many:
            return f"{self.singular}_ids"
        return f"{self.name}_id" if self.target else self.name

    @property
    def parameters(self) -> tuple[str, ...]:
        """The query parameters by which a list is filtered."""
        if self.is_many:
            return (f"{self.singular}_id",)
        if self.is_range:
            return (f"{self.name}_from", f"{self.name}_before")
        return (self.column,)

    @property
    def is_range(self) -> bool:
        return any(self.kind.range)

    @property
    def table(self) -> str:
        return self.target.table if self.target else ""

    @property
    def human(self) -> str:
        return self.name.replace("_", " ")

    @property
    def singular_human(self) -> str:
        return (self.singular or self.name).replace("_", " ")

    @property
    def target_path(self) -> str:
        return path_of(self.table)

    @property
    def sql_values(self) -> str:
        return ", ".join(f"'{value}'" for value in self.arguments["list"].split(","))

    @property
    def human_values(self) -> str:
        *values, last = self.arguments["list"].split(",")
        return f"{', '.join(values)} or {last}"

    def code(self, text: str, **more: str) -> str:
        """Return source code with the arguments, and the field's own words, filled in."""
        for name, value in {**self.arguments, **self._samples(), **more}.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    def _samples(self) -> dict[str, str]:
        match self.kind_name:
            case "str" | "text":
                return self._texts(int(self.arguments["length"].replace("_", "")))
            case "enum":
                first, *rest = self.arguments["list"].split(",")
                return {"first": f'"{first}"', "second": f'"{rest[0]}"'}
            case "decimal":
                scale = int(self.arguments["scale"])
                digits = int(self.arguments["precision"]) - scale
                return {
                    name: f'"{Decimal(number).scaleb(-scale if digits == 0 else 0):.{scale}f}"'
                    for name, number in (("first", -1), ("second", -2))
                }
            case "uuid":
                return {"uuid": "00000000-0000-4000-8000-00000000000"}
        return {}

    @property
    def numbered_by(self) -> str:
        """The variable that makes a value in tests unique: `number`, which rows of all tables share.

        In a short value it would soon repeat, so there it is `serial`, which counts the rows of one table.
        """
        digits = self.arguments.get("precision") or self.arguments.get("length") or "9"
        return "serial" if self.is_unique and int(digits.replace("_", "")) < 6 else "number"

    def _texts(self, length: int) -> dict[str, str]:
        title = self.human.capitalize()
        text = f'f"{title} {{number}}"'
        if length < len(title) + 10:
            digits = min(length, 9)
            text = f'f"{{number % 10**{digits}:0{digits}}}"'
        example = title[:length].strip()
        other = "Other"[:length] if example != "Other"[:length] else "Another"[:length]
        return {"example": f'"{example}"', "other": f'"{other}"', "text": text}

    @property
    def sql_type(self) -> str:
        if self.kind_name == "json" and self.is_optional:
            return "JSONB(none_as_null=True)"  # NULL, not the null of JSON
        return self.code(self.kind.column)

    @property
    def python(self) -> str:
        return self.kind.python

    @property
    def body(self) -> str:
        """The type in requests, where null is another matter."""
        return self.alias if self.kind.is_named else self.code(self.kind.body)

    @property
    def response(self) -> str:
        named = self.kind.is_named and "{body}" in self.kind.response
        return self.alias if named else self.kind.response or self.python

    @property
    def is_filter(self) -> bool:
        return self.is_indexed or self.is_unique or bool(self.target)

    @property
    def sorts(self) -> bool:
        return bool(self.is_indexed and self.kind.cursor and not self.is_optional)

    @property
    def filter_type(self) -> str:
        return "Text" if self.kind_name in {"str", "text"} else "Id" if self.is_many else self.body

    @property
    def sql_default(self) -> str:
        """The default as an argument of `server_default`, or an empty string."""
        if self.default is None:
            return ""
        match self.kind_name:
            case "bool":
                return f"{self.default}()"
            case "datetime":
                return "func.now()"
            case "uuid":
                return "func.gen_random_uuid()"
        return f'"{self.default}"'

    @property
    def migration_default(self) -> str:
        return f"sa.{self.sql_default}" if self.sql_default.endswith("()") else self.sql_default

    @property
    def body_default(self) -> str:
        """The default as the value of a field of Pydantic's, or an empty string."""
        if self.default is None:
            return "None" if self.is_optional else ""
        match self.kind_name:
            case "bool":
                return self.default.capitalize()
            case "datetime":
                return "Field(default_factory=lambda: datetime.now(UTC))"
            case "uuid":
                return "Field(default_factory=uuid4)"
            case "json":
                return "Field(default_factory=dict)"
            case "date":
                day = date.fromisoformat(self.default)
                return f"date({day.year}, {day.month}, {day.day})"
            case "decimal":
                return f'Decimal("{self.default}")'
            case "int" | "bigint" | "float":
                return self.default
        return f'"{self.default}"'

    @property
    def sent(self) -> str:
        return self._sent(0)

    @property
    def other(self) -> str:
        return self._sent(1)

    def _sent(self, number: int) -> str:
        return self.code(self.kind.sent[number])

    @property
    def refused(self) -> str:
        return self.kind.refused

    @property
    def made(self) -> str:
        made = self.code(self.kind.made)
        # The value of an enum is no variable, even if it is called so.
        return made if self.kind_name == "enum" else made.replace("number", self.numbered_by)

    @property
    def takes_number(self) -> bool:
        """Whether `made` uses the number that all fields of a row share."""
        return self.kind_name != "enum" and "number" in self.made
