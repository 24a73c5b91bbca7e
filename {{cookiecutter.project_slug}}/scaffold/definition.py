"""The definition of a resource, as it is typed: `article title:str:200 author:user`."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import Final

from app.cli.commands import CommandError
from scaffold.kinds import KINDS, LINKS, MAX_INDEXED_LENGTH, ON_DELETE, REFERENCE, Kind
from scaffold.project import Model, Project
from scaffold.words import (
    MAX_IDENTIFIER,
    QUERY,
    class_case,
    plural_of,
    refuse_field_name,
    refuse_resource_name,
    singular_of,
    snake_case,
    with_article,
)

_FIELD: Final = re.compile(
    r"(?P<name>[^:]*):(?P<kind>[^:?!^=]+)(?P<arguments>(:[^:?!^=]*)*)(?P<marks>[?!^]*)"
    r"(?P<default>=.*)?",
    re.DOTALL,
)
_VALUE: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
MANY: Final = "many"
USER: Final = "user"
LONGEST_TEXT: Final = 50_000
USAGE: Final = {
    "str": "give the maximum length, up to 10000, as in title:str:200; if it may be longer, use text",
    "text": "give nothing, or the maximum length, up to 1000000, as in body:text:10000",
    "decimal": "give precision, up to 100, and scale, as in price:decimal:10:2",
    "enum": "give two or more values in small letters, as in status:enum:draft,published",
}
# What is not in a router of `app/routes`.
OWN_PATHS: Final = frozenset({"/docs", "/metrics"})
# What a schema imports.
SCHEMA_NAMES: Final = frozenset(
    [
        "Annotated",
        "Any",
        "Decimal",
        "Field",
        "Final",
        "Id",
        "Literal",
        "Nullable",
        "Text",
        "Trimmed",
        "Visible",
    ]
)
# Of the classes in a schema.
ENDINGS: Final = ("Create", "Patch", "Response", "Query", "Sort")
# The default of MAX_BODY_BYTES.
DEFAULT_BODY_BYTES: Final = 64 * 2**10


@dataclass(frozen=True)
class Field:
    """A field of a resource, which is a column unless it links to `many` of another resource."""

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
        return f"/{self.table.replace('_', '-')}"

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
        """The variable that makes a value in tests unique.

        A short value would soon be repeated by the number that all rows share.
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
        return "Text" if self.kind_name == "str" else "Id" if self.is_many else self.body

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
        return self.code(self.kind.made).replace("number", self.numbered_by)


@dataclass(frozen=True)
class Resource:
    """A resource to write."""

    singular: str
    plural: str
    fields: tuple[Field, ...]
    factories: tuple[tuple[str, str], ...]  # modules in tests, with the names of what they make
    command: str  # as it was typed

    @property
    def class_name(self) -> str:
        return class_case(self.singular)

    @property
    def human(self) -> str:
        return self.singular.replace("_", " ")

    @property
    def humans(self) -> str:
        return self.plural.replace("_", " ")

    @cached_property
    def a(self) -> str:
        return with_article(self.human)

    @property
    def path(self) -> str:
        return f"/{self.plural.replace('_', '-')}"

    @property
    def references(self) -> tuple[Field, ...]:
        return tuple(one for one in self.fields if one.target and not one.is_many)

    @property
    def links(self) -> tuple[Field, ...]:
        return tuple(one for one in self.fields if one.is_many)

    @property
    def values(self) -> tuple[Field, ...]:
        return tuple(one for one in self.fields if not one.target)

    @property
    def columns(self) -> tuple[Field, ...]:
        """References and values, in the order of the table."""
        return self.references + self.values

    @property
    def owner(self) -> Field | None:
        """The first reference to a user that every row has."""
        wanted = (one for one in self.references if one.target_name == USER and not one.is_optional)
        return next(wanted, None)

    @property
    def changeable(self) -> tuple[Field, ...]:
        """The fields of a PATCH."""
        return tuple(one for one in self.values + self.references if one is not self.owner)

    @property
    def targets(self) -> tuple[Model, ...]:
        """The other models that it refers to, each once."""
        found = {one.target: one for one in self.fields if one.target and not one.is_self}
        return tuple(sorted(found, key=lambda model: model.module))

    def is_ambiguous(self, reference: Field) -> bool:
        """Return whether another reference leads to the same table."""
        return [one.target for one in self.references].count(reference.target) > 1

    @property
    def filters(self) -> tuple[Field, ...]:
        return tuple(one for one in self.columns + self.links if one.is_filter)

    @property
    def sorted_by(self) -> tuple[Field, ...]:
        return tuple(one for one in self.values if one.sorts)

    @property
    def filtered_in_order(self) -> tuple[Field, ...]:
        """The columns by which lists are filtered, but not sorted."""
        wanted = (one for one in self.columns if one.is_filter and not one.sorts)
        return tuple(one for one in wanted if not one.is_unique)

    @property
    def body_lengths(self) -> str:
        """The lengths of all texts as a sum, if a body with them exceeds the default limit."""
        texts = [one for one in self.values if one.kind_name in {"str", "text"}]
        lengths = [one.arguments["length"] for one in texts]
        if 4 * sum(int(length.replace("_", "")) for length in lengths) + 1000 <= DEFAULT_BODY_BYTES:
            return ""
        return lengths[0] if len(lengths) == 1 else f"({' + '.join(lengths)})"

    @property
    def module(self) -> str:
        return f"app.models.{self.singular}"

    @property
    def required(self) -> tuple[Field, ...]:
        """The references that every row has, the owner first."""
        needed = [one for one in self.references if not one.is_optional]
        return tuple(sorted(needed, key=lambda one: one is not self.owner))

    @property
    def linked_models(self) -> tuple[Model, ...]:
        wanted = {one.target: one for one in self.links if one.target}
        return tuple(wanted)

    @property
    def made_models(self) -> tuple[Model, ...]:
        """The models that its factory takes."""
        wanted = {one.target: one for one in self.required if one.target}
        return tuple(wanted)

    @property
    def patch(self) -> tuple[str, int]:
        """The body of a PATCH as source code, and how many statements run for it."""
        read = 1 + len(self.links)
        if self.values:
            one = self.values[0]
            return f'{{"{one.column}": {one.other}}}', read + 1
        if others := [one for one in self.changeable if not one.is_self]:
            return f'{{"{others[0].column}": "{{{others[0].target_name}_id}}"}}', read + 1
        if self.links:
            one = self.links[0]
            return f'{{"{one.column}": ["{{{one.target_name}_id}}"]}}', read + 4
        return f'{{"{self.changeable[0].column}": None}}', read

    @property
    def identifiers(self) -> Iterator[str]:
        """The names of tables, indexes and constraints."""
        yield self.plural
        for one in self.columns:
            yield f"ix_{self.plural}_{one.column}_created_at_id"
            if one.target:
                yield f"fk_{self.plural}_{one.column}_{one.table}"
        for link in self.links:
            table = self.link_table(link)
            yield f"fk_{table}_{self.singular}_id_{self.plural}"
            yield f"fk_{table}_{link.singular}_id_{link.table}"

    def link_table(self, link: Field) -> str:
        return f"{self.singular}_{link.name}"


def define(
    project: Project, name: str, texts: Sequence[str], plural: str | None = None
) -> Resource:
    """Return the resource that was typed.

    Raises `CommandError` for a name that cannot be one or is taken, an unknown type, and so on.
    """
    singular = snake_case(name)
    chosen = snake_case(plural) if plural else plural_of(singular)
    refuse_resource_name(singular, chosen)
    known = project.models.get(singular)
    if known or chosen in project.tables:
        where = f"the model {known.class_name}" if known else f"the table {chosen}"
        raise CommandError(f"{singular} is there already: {where}")
    itself = Model(class_case(singular), f"app.models.{singular}", chosen)
    fields = tuple(_parse(project, text, singular, itself) for text in texts)
    others = {one.target_name for one in fields if one.target and not one.is_self} - {USER}
    factories = tuple((project.factory_of(other) or "", other) for other in sorted(others))
    resource = Resource(singular, chosen, fields, factories, _command(name, texts, plural))
    _refuse_clashes(resource)
    _refuse_taken(resource, project)
    return resource


def _refuse_taken(resource: Resource, project: Project) -> None:
    """Raise `CommandError` if there is a route or a table of the same name."""
    if resource.path in OWN_PATHS | project.prefixes:
        raise CommandError(
            f"The service has routes at {resource.path} already; choose another name"
        )
    for link in resource.links:
        if resource.link_table(link) in project.tables:
            raise _wrong(link, f"there is a table {resource.link_table(link)} already")


def _command(name: str, texts: Iterable[str], plural: str | None) -> str:
    words = [name, *texts, *(["--plural", plural] if plural else [])]
    return " ".join(
        f"'{word}'" if re.search(r"[?!^*{}=<>|&;$\s]", word) else word for word in words
    )


def _parse(project: Project, text: str, singular: str, itself: Model) -> Field:
    match = _FIELD.fullmatch(text)
    if match is None:
        raise CommandError(f"{text!r} is no field: write NAME:TYPE, such as title:str:200")
    name, kind, marks, given = match["name"], match["kind"], match["marks"], match["arguments"]
    refuse_field_name(name, is_column=kind in KINDS)
    if len(set(marks)) < len(marks):
        raise CommandError(f"{text!r} has a mark twice")
    parsed = Field(
        text=text,
        name=name,
        kind_name=kind,
        kind=KINDS.get(kind, REFERENCE),
        is_optional="?" in marks,
        is_unique="!" in marks,
        is_indexed="^" in marks,
        default=match["default"] and match["default"].removeprefix("="),
    )
    arguments = given.split(":")[1:]
    models = project.models | {singular: itself}
    if kind in KINDS:
        alias = class_case(name)
        of_resource = itself.class_name if alias in SCHEMA_NAMES else ""
        return _with_kind(replace(parsed, alias=of_resource + alias), arguments)
    if kind in models:
        return _with_target(project, parsed, arguments, models[kind], itself)
    if kind == MANY and len(arguments) == 1 and arguments[0] in models:
        return _with_links(project, parsed, arguments[0], models[arguments[0]], itself)
    raise _wrong(
        parsed,
        f"{kind} is neither a type ({', '.join(KINDS)}) nor a resource "
        f"({', '.join(sorted(project.models))}), nor {MANY}:RESOURCE",
    )


def _with_kind(parsed: Field, given: list[str]) -> Field:
    kind, name = parsed.kind, parsed.kind_name
    defined = replace(parsed, arguments=_arguments(parsed.text, name, given))
    length = int(defined.arguments.get("length", "0").replace("_", ""))
    match defined:
        case Field(is_indexed=True) if not kind.may_be_indexed:
            raise _wrong(parsed, f"{with_article(name)} cannot have an index (^)")
        case Field(is_unique=True) if not kind.may_be_unique:
            raise _wrong(parsed, f"{with_article(name)} cannot be unique (!)")
        case Field(is_unique=True, default=str()) if name not in {"datetime", "uuid"}:
            raise _wrong(parsed, "a default is the same in all rows, so it cannot be unique (!)")
        case Field(is_indexed=True) | Field(is_unique=True) if length > MAX_INDEXED_LENGTH:
            raise _wrong(
                parsed, f"PostgreSQL cannot index more than {MAX_INDEXED_LENGTH} characters"
            )
        case Field(default=str(default)) if not _is_default(defined, default):
            example = kind.default_example
            raise _wrong(parsed, f"{default!r} cannot be the default; write it as in {example}")
    return defined


def _wrong(parsed: Field, reason: str) -> CommandError:
    return CommandError(f"{parsed.text!r}: {reason}")


def _is_default(defined: Field, default: str) -> bool:
    arguments = defined.arguments
    if not re.fullmatch(defined.kind.defaults, default) or not default.isprintable():
        return False
    match defined.kind_name:
        case "str" | "text":
            is_plain = default.strip() == default and not set(default) & set('"\\')
            return is_plain and len(default) <= int(arguments["length"].replace("_", ""))
        case "enum":
            return default in arguments["list"].split(",")
        case "decimal":
            return bool(re.fullmatch(_digits(arguments), default))
        case "int":
            return -(2**31) <= int(default) < 2**31
        case "date":
            try:
                date.fromisoformat(default)
            except ValueError:
                return False
    return True


def _digits(arguments: Mapping[str, str]) -> str:
    """Return a regular expression of decimals that have a precision and a scale."""
    precision, scale = int(arguments["precision"]), int(arguments["scale"])
    whole = f"\\d{{1,{precision - scale}}}" if precision > scale else "0"
    return rf"-?{whole}(\.\d{{1,{scale}}})?" if scale else f"-?{whole}"


def _arguments(text: str, kind: str, given: Sequence[str]) -> dict[str, str]:
    """Return the arguments of a type by their names. Raises `CommandError`."""
    match kind, given:
        case "str", [length] if length.isdecimal() and 1 <= int(length) <= 10_000:
            return {"length": length}
        case "text", []:
            return {"length": f"{LONGEST_TEXT:_}"}
        case "text", [length] if length.isdecimal() and 1 <= int(length) <= 1_000_000:
            return {"length": f"{int(length):_}"}
        case "decimal", [precision, scale] if _is_precision(precision, scale):
            return {"precision": str(int(precision)), "scale": str(int(scale))}
        case "enum", [values] if _are_values(values.split(",")):
            each = values.split(",")
            return {
                "list": values,
                "values": ", ".join(f'"{value}"' for value in each),
                "length": str(max(20, *map(len, each))),
            }
        case _, [] if kind not in USAGE:
            return {}
    usage = USAGE.get(kind, f"{kind} takes no arguments")
    raise CommandError(f"{text!r}: {usage}")


def _is_precision(precision: str, scale: str) -> bool:
    if not (precision.isdecimal() and scale.isdecimal()):
        return False
    return 1 <= int(precision) <= 100 and int(scale) <= int(precision)


def _are_values(values: Sequence[str]) -> bool:
    is_each = all(_VALUE.fullmatch(value) and len(value) <= MAX_IDENTIFIER for value in values)
    return is_each and len(values) >= 2 and len(set(values)) == len(values)


def _with_target(
    project: Project, parsed: Field, given: Sequence[str], target: Model, itself: Model
) -> Field:
    """Return a reference to one row of another resource, or of the same."""
    is_self = target is itself
    is_owner = parsed.kind_name == USER and not parsed.is_optional
    usual = "set_null" if parsed.is_optional else "cascade" if is_owner else "restrict"
    ondelete = given[0] if given else usual
    if len(given) > 1 or ondelete not in ON_DELETE:
        raise _wrong(parsed, f"after a resource comes one of {', '.join(ON_DELETE)}")
    if ondelete == "set_null" and not parsed.is_optional:
        raise _wrong(parsed, "set_null needs a field that is optional (?)")
    if is_self and not parsed.is_optional:
        raise _wrong(parsed, "the first row cannot refer to another one: make it optional (?)")
    if parsed.default is not None:
        raise _wrong(parsed, "a reference has no default")
    if parsed.is_indexed:
        raise _wrong(parsed, "a reference has an index in any case; leave out the ^")
    _require_factory(project, parsed, parsed.kind_name, is_self=is_self)
    return replace(
        parsed,
        target=target,
        target_name=parsed.kind_name,
        is_self=is_self,
        is_deletable=not is_self and project.has_route(f"delete_{parsed.kind_name}"),
        ondelete=ON_DELETE[ondelete],
    )


def _with_links(
    project: Project, parsed: Field, target_name: str, target: Model, itself: Model
) -> Field:
    """Return links to many rows of another resource."""
    if parsed.is_optional or parsed.is_unique or parsed.is_indexed or parsed.default is not None:
        raise _wrong(parsed, "links to many have no marks and no default")
    if target is itself:
        raise _wrong(parsed, "links within one resource are to be written by hand")
    _require_factory(project, parsed, target_name, is_self=False)
    singular = singular_of(parsed.name)
    refuse_field_name(singular, is_column=False)
    return replace(
        parsed, kind=LINKS, singular=singular, target=target, target_name=target_name, is_many=True
    )


def _require_factory(project: Project, parsed: Field, target: str, *, is_self: bool) -> None:
    if target != USER and not is_self and project.factory_of(target) is None:
        raise _wrong(
            parsed,
            f"the tests would need a function make_{target}, in tests/{target}_factory.py; see "
            "that of another resource",
        )


def _refuse_clashes(resource: Resource) -> None:
    """Raise `CommandError` for names that occur twice, or are too long for PostgreSQL."""
    names = [name for one in resource.fields for name in {one.name, one.column, one.singular}]
    names += [resource.singular, resource.plural]
    parameters = [name for one in resource.filters for name in one.parameters]
    twice = sorted(
        {name for group in (names, parameters) for name in group if group.count(name) > 1} - {""}
    )
    if twice:
        raise CommandError(f"These names occur twice: {', '.join(twice)}")
    if taken := [one for one in resource.filters if QUERY & set(one.parameters)]:
        raise _wrong(taken[0], "a list has another parameter with this name")
    aliases = {one.alias for one in resource.values if one.kind.is_named}
    if clash := aliases & {resource.class_name + end for end in ENDINGS}:
        raise CommandError(f"A field must not be named so that its type is {clash.pop()}")
    if not resource.changeable and not resource.links:
        raise CommandError(f"{resource.class_name} needs a field that can be changed")
    longest = max(resource.identifiers, key=len)
    if len(longest) > MAX_IDENTIFIER:
        raise CommandError(
            f"PostgreSQL allows {MAX_IDENTIFIER} characters for a name, and {longest} has "
            f"{len(longest)}: choose shorter ones"
        )
