"""The lines by which a project knows a resource, or what a recipe adds."""

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from app.cli.commands import CommandError
from scaffold.project import parsed
from scaffold.resource import LINE_LENGTH

MODELS: Final = "app/models/__init__.py"
ROUTES: Final = "app/routes/__init__.py"
JOBS: Final = "app/jobs/__init__.py"
# Long lines are broken by the formatter.
LISTS: Final = (MODELS, ROUTES, JOBS)


@dataclass(frozen=True)
class _List:
    """A tuple or list of what the modules of a package define."""

    file: str
    package: str
    name: str


_ROUTERS: Final = _List(ROUTES, "app.routes", "ROUTERS")
_KINDS: Final = _List(JOBS, "app.jobs", "kinds")


def with_model(text: str, module: str, class_name: str) -> str:
    """Return the text of `MODELS` with a model.

    Raises `CommandError` if its module would take the place of something else that is imported there.
    """
    _require_free(text, module, MODELS)
    lines = text.splitlines(keepends=True)
    imports = [
        node
        for node in parsed(text, MODELS).body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("app.")
    ]
    line = f"from {module} import {class_name} as {class_name}\n"
    for node in imports:
        if (node.module or "") > module:
            at = node.lineno - 1
            while at > 0 and (not lines[at - 1].strip() or lines[at - 1].startswith("#")):
                at -= 1  # what stands above an import belongs to it
            return "".join([*lines[:at], line, *lines[at:]])
    at = imports[-1].end_lineno or 0 if imports else len(lines)
    return "".join([*lines[:at], line, *lines[at:]])


def without_model(text: str, module: str, class_name: str) -> str:
    """Return the text of `MODELS` without a model, whose import may be on several lines."""
    alias = f"{class_name} as {class_name}"
    found = [
        node
        for node in parsed(text, MODELS).body
        if isinstance(node, ast.ImportFrom)
        and node.module == module
        and [ast.unparse(name) for name in node.names] == [alias]
    ]
    if len(found) != 1:
        raise CommandError(f"{MODELS} does not have `from {module} import {alias}` once")
    lines = text.splitlines(keepends=True)
    return "".join([*lines[: found[0].lineno - 1], *lines[found[0].end_lineno :]])


def with_router(text: str, module: str) -> str:
    """Return the text of `ROUTES` with a router, the first of the list.

    Raises `CommandError` if something else of its name is imported there.
    """
    return _with_entries(_ROUTERS, text, module, ["router"])


def without_router(text: str, module: str) -> str:
    """Return the text of `ROUTES` without a router."""
    return _without_entries(_ROUTERS, text, module, ["router"])


def with_kinds(text: str, module: str, kinds: Sequence[str]) -> str:
    """Return the text of `JOBS` with the kinds of jobs that a module defines, the first of the list.

    Raises `CommandError` if something else of the module's name is imported there.
    """
    return _with_entries(_KINDS, text, module, kinds)


def without_kinds(text: str, module: str, kinds: Sequence[str]) -> str:
    """Return the text of `JOBS` without the kinds of jobs that a module defines."""
    return _without_entries(_KINDS, text, module, kinds)


def _with_entries(where: _List, text: str, module: str, names: Sequence[str]) -> str:
    _require_free(text, f"{where.package}.{module}", where.file)
    text = _with_modules(where, text, lambda modules: sorted([*modules, module]))
    first = _first(where, text)
    lines = text.splitlines(keepends=True)
    at = first.lineno - 1
    return "".join([*lines[:at], *_entries(first, module, names), *lines[at:]])


def _without_entries(where: _List, text: str, module: str, names: Sequence[str]) -> str:
    for line in _entries(_first(where, text), module, names):
        text = _without(text, line, where.file)
    return _with_modules(where, text, lambda modules: [one for one in modules if one != module])


def _entries(first: ast.expr, module: str, names: Sequence[str]) -> list[str]:
    """Return the lines of a list that begins with `first`."""
    return [f"{' ' * first.col_offset}{module}.{name},\n" for name in names]


def _require_free(text: str, module: str, file: str) -> None:
    """Raise `CommandError` if a package imports something else by the name of its new module."""
    package, _, name = module.rpartition(".")
    for node in parsed(text, file).body:
        match node:
            case ast.ImportFrom(module=str(other), names=names) if other != package:
                if name in {alias.asname or alias.name for alias in names}:
                    raise CommandError(
                        f"Choose another name for {name}: {file} imports one from {other}"
                    )


def _without(text: str, line: str, name: str) -> str:
    if text.count(line) != 1:
        raise CommandError(f"{name} does not have the line {line.strip()!r} once")
    return text.replace(line, "")


def _first(where: _List, text: str) -> ast.expr:
    """Return the first entry of a list."""
    for node in ast.walk(parsed(text, where.file)):
        match node:
            case (
                ast.AnnAssign(target=ast.Name(name), value=ast.Tuple() | ast.List() as found)
                | ast.Assign(targets=[ast.Name(name)], value=ast.Tuple() | ast.List() as found)
            ) if name == where.name:
                if found.elts:
                    return found.elts[0]
                raise CommandError(f"{where.file}: {name} is empty")
    raise CommandError(f"{where.file} has no list {where.name}")


def _with_modules(where: _List, text: str, change: Callable[[list[str]], Sequence[str]]) -> str:
    """Return the text with other modules in the import of those that define what the list has."""
    for node in parsed(text, where.file).body:
        if isinstance(node, ast.ImportFrom) and node.module == where.package:
            lines = text.splitlines(keepends=True)
            names = change([ast.unparse(alias) for alias in node.names])
            statement = f"from {where.package} import {', '.join(names)}\n"
            if len(statement) > LINE_LENGTH:
                statement = f"from {where.package} import ({', '.join(names)})\n"
            before, after = lines[: node.lineno - 1], lines[node.end_lineno or node.lineno :]
            return "".join([*before, statement, *after])
    raise CommandError(f"{where.file} has no line `from {where.package} import ...`")
