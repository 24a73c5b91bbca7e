"""Reading a field as it is typed: `title:str:200`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Final

from app.cli.commands import CommandError
from scaffold import taken
from scaffold.fields import Field
from scaffold.kinds import KINDS, LINKS, MANY, MAX_INDEXED_LENGTH, ON_DELETE, REFERENCE
from scaffold.project import Model, Project
from scaffold.resource import USER
from scaffold.unknown import unknown_type
from scaffold.words import (
    FUNCTION,
    MAX_IDENTIFIER,
    class_case,
    refuse_field_name,
    refuse_name,
    singular_of,
)

_FIELD: Final = re.compile(
    r"(?P<name>[^:]*):(?P<kind>[^:?!^=]+)(?P<arguments>(:[^:?!^=]*)*)(?P<marks>[?!^]*)"
    r"(?P<default>=.*)?",
    re.DOTALL,
)
_VALUE: Final = re.compile(r"[A-Za-z0-9]+([_-]+[A-Za-z0-9]+)*")
_MISPLACED: Final = re.compile(r"^[^=]*?([?!^])[^=]*:|=.*([?!^])$", re.DOTALL)
LONGEST_TEXT: Final = 50_000
USAGE: Final = {
    "str": "give the maximum length, up to 10000, as in title:str:200; if it may be longer, use text",
    "text": "give nothing, or the maximum length, up to 1000000, as in body:text:10000",
    "decimal": "give precision, up to 100, and scale, as in price:decimal:10:2",
    "enum": (
        "give two or more different values of letters and digits (ASCII), with hyphens or underscores "
        "between them, as in status:enum:draft,in-review"
    ),
}
# What a schema imports.
SCHEMA_NAMES: Final = {
    *("Annotated", "Any", "Decimal", "Field", "Final", "Id"),
    *("Literal", "Nullable", "Text", "Trimmed", "Visible"),
}


def parse_field(project: Project, text: str, singular: str, itself: Model) -> Field:
    """Return the field that was typed, of the resource whose model is `itself`.

    Raises `CommandError` for a name that cannot be one, an unknown type, and so on.
    """
    match = _FIELD.fullmatch(text)
    if misplaced := _MISPLACED.search(text):
        raise CommandError(
            f"{text!r}: {misplaced[1] or misplaced[2]} belongs behind the type and before a default: "
            f"write {_with_marks_in_place(text)!r}"
        )
    if match is None:
        raise CommandError(f"{text!r} is not a field: write NAME:TYPE, such as title:str:200")
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
    raise wrong(parsed, unknown_type(project, kind, arguments))


def _with_marks_in_place(text: str) -> str:
    field, equals, default = text.partition("=")
    marks = re.findall("[?!^]", field) + re.findall("[?!^](?=[?!^]*$)", default)
    return (
        re.sub("[?!^]", "", field) + "".join(dict.fromkeys(marks)) + equals + default.rstrip("?!^")
    )


def _with_kind(parsed: Field, given: list[str]) -> Field:
    """Return a field with a value, not a reference."""
    kind, name = parsed.kind, parsed.kind_name
    defined = replace(parsed, arguments=_arguments(parsed.text, name, given))
    length = int(defined.arguments.get("length", "0").replace("_", ""))
    match defined:
        case Field(is_indexed=True) if kind.no_index:
            raise wrong(parsed, kind.no_index)
        case Field(is_unique=True) if kind.no_unique:
            raise wrong(parsed, kind.no_unique)
        case Field(is_unique=True, is_optional=False, kind_name="enum"):
            raise wrong(
                parsed,
                "with a unique value in each row, the table could have no more rows than there are "
                "values; make it optional (?)",
            )
        case Field(is_unique=True, default=str()) if name not in {"datetime", "uuid"}:
            raise wrong(parsed, "a default is the same in all rows, so it cannot be unique (!)")
        case Field(is_indexed=True) | Field(is_unique=True) if length > MAX_INDEXED_LENGTH:
            raise wrong(
                parsed,
                f"PostgreSQL cannot index more than {MAX_INDEXED_LENGTH} characters (2704 bytes); give "
                f"a maximum length up to that, as in {parsed.name}:{name}:{MAX_INDEXED_LENGTH}",
            )
        case Field(default=str(default)) if not _is_default(defined, default):
            example = kind.default_example
            raise wrong(parsed, f"{default!r} cannot be the default; write it as in {example}")
    return defined


def wrong(parsed: Field, reason: str) -> CommandError:
    """Return the error of a field."""
    return CommandError(f"{parsed.text!r}: {reason}")


def _is_default(defined: Field, default: str) -> bool:
    """Return whether a field of this type can have the value."""
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
        case "bigint":
            return -(2**53) < int(default) < 2**53
        case "date":
            try:
                date.fromisoformat(default)
            except ValueError:
                return False
    return True


def _digits(arguments: Mapping[str, str]) -> str:
    """Return a regular expression of decimals that have a precision and a scale."""
    precision, scale = int(arguments["precision"]), int(arguments["scale"])
    whole = f"[0-9]{{1,{precision - scale}}}" if precision > scale else "0"
    return rf"-?{whole}(\.[0-9]{{1,{scale}}})?" if scale else f"-?{whole}"


def _arguments(text: str, kind: str, given: Sequence[str]) -> dict[str, str]:
    """Return the arguments of a type by their names. Raises `CommandError`."""
    match kind, given:
        case "str", [length] if 1 <= _number(length) <= 10_000:
            return {"length": str(_number(length))}
        case "text", []:
            return {"length": f"{LONGEST_TEXT:_}"}
        case "text", [length] if 1 <= _number(length) <= 1_000_000:
            return {"length": f"{_number(length):_}"}
        case "decimal", [precision, scale] if _is_precision(precision, scale):
            return {"precision": str(_number(precision)), "scale": str(_number(scale))}
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


def _number(text: str) -> int:
    """Return the number that a text states, or -1."""
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else -1


def _is_precision(precision: str, scale: str) -> bool:
    return 1 <= _number(precision) <= 100 and 0 <= _number(scale) <= _number(precision)


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
        raise wrong(parsed, f"after a resource comes one of {', '.join(ON_DELETE)}")
    if ondelete == "set_null" and not parsed.is_optional:
        raise wrong(parsed, "set_null needs a field that is optional (?)")
    if is_self and not parsed.is_optional:
        raise wrong(parsed, "the first row cannot refer to another one: make it optional (?)")
    if parsed.default is not None:
        raise wrong(parsed, "a reference has no default, because there may be no row with that id")
    if parsed.is_indexed:
        raise wrong(parsed, "a reference has an index in any case; leave out the ^")
    if not parsed.is_optional:  # then it is a parameter of the factory
        refuse_name(parsed.name, "required reference", (FUNCTION, taken.FUNCTIONS))
    _require_factory(project, parsed, parsed.kind_name, is_self=is_self)
    return replace(
        parsed,
        target=target,
        target_name=parsed.kind_name,
        is_self=is_self,
        is_deletable=not is_self and _is_deletable(project, parsed.kind_name, target),
        ondelete=ON_DELETE[ondelete],
    )


def _with_links(
    project: Project, parsed: Field, target_name: str, target: Model, itself: Model
) -> Field:
    """Return links to many rows of another resource, or of the same."""
    if parsed.is_optional or parsed.is_unique or parsed.is_indexed or parsed.default is not None:
        raise wrong(parsed, "links to many have no marks and no default")
    is_self = target is itself
    _require_factory(project, parsed, target_name, is_self=is_self)
    singular = singular_of(parsed.name)
    refuse_field_name(singular, is_column=False)
    refuse_name(singular, "link", (FUNCTION, taken.FUNCTIONS))
    return replace(
        parsed,
        kind=LINKS,
        singular=singular,
        target=target,
        target_name=target_name,
        is_many=True,
        is_self=is_self,
        is_deletable=not is_self and _is_deletable(project, target_name, target),
    )


def _is_deletable(project: Project, name: str, target: Model) -> bool:
    """Return whether a route deletes rows of a resource, so that something happens to those that refer to it."""
    return f"delete_{name}" in project.routes and not target.is_soft_deleted


def _require_factory(project: Project, parsed: Field, target: str, *, is_self: bool) -> None:
    if target != USER and not is_self and project.factory_of(target) is None:
        raise wrong(
            parsed,
            f"the tests would need a function make_{target}, in tests/{target}_factory.py; see "
            "that of another resource",
        )
