"""The three lines by which a project knows a resource."""

import ast
from collections.abc import Callable, Sequence
from typing import Final

from app.cli.commands import CommandError
from scaffold.project import parsed

MODELS: Final = "app/models/__init__.py"
ROUTES: Final = "app/routes/__init__.py"
_PACKAGE: Final = "app.routes"


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
    """Return the text of `MODELS` without a model."""
    return _without(text, f"from {module} import {class_name} as {class_name}\n", MODELS)


def with_router(text: str, module: str) -> str:
    """Return the text of `ROUTES` with a router, the first of the list.

    Raises `CommandError` if something else of its name is imported there.
    """
    _require_free(text, f"{_PACKAGE}.{module}", ROUTES)
    text = _with_names(text, lambda names: sorted([*names, module]))
    listed = _routers(text).elts
    if not listed:
        raise CommandError(f"{ROUTES}: ROUTERS is empty")
    lines = text.splitlines(keepends=True)
    at = listed[0].lineno - 1
    return "".join([*lines[:at], f"    {module}.router,\n", *lines[at:]])


def without_router(text: str, module: str) -> str:
    """Return the text of `ROUTES` without a router."""
    text = _without(text, f"    {module}.router,\n", ROUTES)
    return _with_names(text, lambda names: [name for name in names if name != module])


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


def _routers(text: str) -> ast.Tuple | ast.List:
    for node in parsed(text, ROUTES).body:
        match node:
            case (
                ast.AnnAssign(target=ast.Name("ROUTERS"), value=ast.Tuple() | ast.List() as found)
                | ast.Assign(targets=[ast.Name("ROUTERS")], value=ast.Tuple() | ast.List() as found)
            ):
                return found
    raise CommandError(f"{ROUTES} has no list ROUTERS")


def _with_names(text: str, change: Callable[[list[str]], Sequence[str]]) -> str:
    """Return the text with other names in the import of the routers."""
    for node in parsed(text, ROUTES).body:
        if isinstance(node, ast.ImportFrom) and node.module == _PACKAGE:
            lines = text.splitlines(keepends=True)
            names = change([ast.unparse(alias) for alias in node.names])
            statement = f"from app.routes import {', '.join(names)}\n"
            if len(statement) > 100:
                statement = f"from app.routes import ({', '.join(names)})\n"
            before, after = lines[: node.lineno - 1], lines[node.end_lineno or node.lineno :]
            return "".join([*before, statement, *after])
    raise CommandError(f"{ROUTES} has no line `from app.routes import ...`")
