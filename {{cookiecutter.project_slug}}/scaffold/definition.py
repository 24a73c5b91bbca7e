"""The definition of a resource, as it is typed: `article title:str:200 author:user`."""

import shlex
from collections.abc import Iterable, Sequence
from typing import Final

from app.cli.commands import CommandError
from scaffold.parsing import parse_field, wrong
from scaffold.project import Model, Project
from scaffold.records import there_already
from scaffold.resource import USER, Resource
from scaffold.taken import QUERY
from scaffold.words import (
    MAX_IDENTIFIER,
    class_case,
    path_of,
    plural_of,
    refuse_name,
    refuse_resource_name,
    snake_case,
)

# Paths that are not in a router of `app/routes`.
OWN_PATHS: Final = frozenset({"/docs", "/metrics"})
# What routes for one row do; their names are the operation ids of the OpenAPI document.
VERBS: Final = ("read", "create", "update", "delete")
# Endings of the names of classes in a schema.
ENDINGS: Final = ("Create", "Patch", "Response", "Query", "Sort")


def define(
    project: Project, name: str, texts: Sequence[str], plural: str | None = None
) -> Resource:
    """Return the resource that was typed.

    Raises `CommandError` for a name that cannot be one or is taken, an unknown type, and so on.
    """
    singular, chosen = new_names(project, name, plural)
    itself = Model(class_case(singular), f"app.models.{singular}", chosen)
    fields = tuple(parse_field(project, text, singular, itself) for text in texts)
    others = {one.target_name for one in fields if one.target and not one.is_self} - {USER}
    factories = tuple((project.factory_of(other) or "", other) for other in sorted(others))
    resource = Resource(singular, chosen, fields, factories, _command(name, texts, plural))
    _refuse_clashes(resource)
    for link in resource.links:
        if resource.link_table(link) in project.tables:
            raise wrong(link, f"there is a table {resource.link_table(link)} already")
    return resource


def new_names(project: Project, name: str, plural: str | None) -> tuple[str, str]:
    """Return the names of a new resource, in the singular and the plural.

    Raises `CommandError` if one of them cannot be a name, or is that of a model, a table, a path or a route.
    """
    singular = snake_case(name)
    refuse_name(singular, "resource")
    chosen = snake_case(plural) if plural else plural_of(singular)
    refuse_resource_name(singular, chosen)
    if snake_case(class_case(singular)) != singular:
        raise CommandError(
            f"{singular!r} cannot be the name of a resource: its class {class_case(singular)} would be that "
            f"of {snake_case(class_case(singular))}"
        )
    known = project.models.get(singular)
    if known or chosen in project.tables:
        where = f"the model {known.class_name}" if known else f"the table {chosen}"
        raise there_already(project, singular, where)
    path = path_of(chosen)
    if path in OWN_PATHS | project.prefixes:
        raise CommandError(f"The service has routes at {path} already; choose another name")
    functions = [f"list_{chosen}", *(f"{verb}_{singular}" for verb in VERBS)]
    if taken := [one for one in functions if one in project.routes]:
        raise CommandError(
            f"The service has a route {taken[0]} already, and a route for {path} would be called the "
            "same; choose another name"
        )
    return singular, chosen


def _command(name: str, texts: Iterable[str], plural: str | None) -> str:
    return shlex.join([name, *texts, *(["--plural", plural] if plural else [])])


def _refuse_twice(names: Iterable[tuple[str, str]]) -> None:
    """Raise `CommandError` for a name that occurs twice, with what was typed for each."""
    typed: dict[str, str] = {}
    for name, text in names:
        if name in typed:
            raise CommandError(
                f"{name!r} would occur twice, for {typed[name]!r} and for {text!r}: rename one of them"
            )
        typed[name] = text


def _refuse_clashes(resource: Resource) -> None:
    """Raise `CommandError` for names that occur twice, or are too long for PostgreSQL."""
    _refuse_twice(
        [
            *((name, resource.singular) for name in (resource.singular, resource.plural)),
            *(
                (name, one.text)
                for one in resource.fields
                for name in {one.name, one.column, one.singular} - {""}
            ),
        ]
    )
    _refuse_twice([(name, one.text) for one in resource.filters for name in one.parameters])
    if taken := [one for one in resource.filters if QUERY & set(one.parameters)]:
        raise wrong(taken[0], "a list has another parameter with this name")
    aliases = [one.alias for one in resource.values if one.kind.is_named]
    own = {resource.class_name + end for end in ENDINGS}
    if clash := sorted({name for name in aliases if name in own or aliases.count(name) > 1}):
        raise CommandError(
            f"A field must not be named so that its type is {clash[0]}, a name that is in use already"
        )
    if not resource.changeable and not resource.links:
        raise CommandError(f"{resource.class_name} needs a field that can be changed")
    longest = max(resource.identifiers, key=len)
    if len(longest) > MAX_IDENTIFIER:
        raise CommandError(
            f"PostgreSQL allows {MAX_IDENTIFIER} characters for a name, and {longest} has "
            f"{len(longest)}: choose shorter ones"
        )
