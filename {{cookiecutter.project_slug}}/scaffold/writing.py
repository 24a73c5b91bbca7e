"""`app new`: what a new resource adds to the project."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import uuid4

from app.cli.commands import CommandError
from scaffold import wiring
from scaffold.changes import Changes
from scaffold.formatting import formatted, reformatted
from scaffold.project import Project
from scaffold.records import Record, digest, record_name, there_already
from scaffold.resource import Resource
from scaffold.revisions import head

TEMPLATES: Final = Path(__file__).parent / "templates"


def changes_for(project: Project, resource: Resource) -> Changes:
    """Return the files of a resource, and the lines by which the project knows it.

    Raises `CommandError` if one of the files is there already, or a name is taken in one of them.
    """
    new = render(project, resource)
    if existing := [name for name in (*new, record_name(resource.singular)) if project.has(name)]:
        raise there_already(project, resource.singular, ", ".join(sorted(existing)))
    _refuse_shadowing(new)
    models = wiring.with_model(
        project.read(wiring.MODELS) or "", resource.module, resource.class_name
    )
    routes = wiring.with_router(project.read(wiring.ROUTES) or "", resource.plural)
    record = Record(
        command=f"app new {resource.command}",
        tables=(resource.plural, *(resource.link_table(link) for link in resource.links)),
        models={resource.module: resource.class_name},
        routers=(resource.plural,),
        files={name: digest(text) for name, text in sorted(new.items())},
    )
    return Changes(
        project.root,
        {
            record_name(resource.singular): record.text(),  # first: `app remove` starts from it
            **new,
            wiring.MODELS: reformatted(project.root, wiring.MODELS, models),
            wiring.ROUTES: reformatted(project.root, wiring.ROUTES, routes),
        },
    )


def render(project: Project, resource: Resource) -> dict[str, str]:
    """Return the texts of the new files by their names. A template without text does not apply."""
    from mako.template import Template

    revision = uuid4().hex[-12:]  # as Alembic does
    names = {
        "SINGULAR": resource.singular,
        "PLURAL": resource.plural,
        "DATE": datetime.now(UTC).strftime("%Y_%m_%d"),
        "REVISION": revision,
    }
    follows = head(project)
    found = {}
    for path in sorted(TEMPLATES.rglob("*.mako")):
        name = path.relative_to(TEMPLATES).with_suffix("").as_posix()
        for placeholder, value in names.items():
            name = name.replace(placeholder, value)
        template = Template(  # noqa: S702 (it writes no HTML)
            filename=str(path), input_encoding="utf-8", strict_undefined=True
        )
        text = str(template.render(r=resource, revision=revision, follows=follows))
        if text.strip():
            found[name] = text
    _refuse_double_meanings(found)
    return formatted(project.root, found)


def _refuse_double_meanings(files: Mapping[str, str]) -> None:
    """Raise `CommandError` if a module would import one name from two places, or define it, too."""
    for name, text in files.items():
        tree = ast.parse(text)
        meanings = [
            (alias.name, node.module or "")
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        ]
        meanings += [(node.name, "") for node in tree.body if isinstance(node, ast.ClassDef)]
        names = [meaning for meaning, _ in set(meanings)]
        if twice := sorted({one for one in names if names.count(one) > 1}):
            raise _taken(twice, name)


def _taken(names: Iterable[str], file: str) -> CommandError:
    return CommandError(
        f"Choose another name for {', '.join(names)}: {file} imports something else of this name"
    )


def _refuse_shadowing(files: Mapping[str, str]) -> None:
    """Raise `CommandError` if a module would give a second meaning to a name that it imports."""
    for name, text in files.items():
        tree = ast.parse(text)
        imported = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        if twice := imported & set(_bound(tree)):
            raise _taken(sorted(twice), name)


def _bound(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield name
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                yield name
            case ast.AsyncFunctionDef(name=name):
                yield name
