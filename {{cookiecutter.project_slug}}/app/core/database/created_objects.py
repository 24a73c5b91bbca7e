"""The objects that the revisions create. Autogenerate may drop these, and no others.

A database may hold objects of others: of extensions, of a job, of another service. The revisions
are read, not run. So an object counts as theirs only if an operation of Alembic creates it under a
literal name.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from alembic.operations import Operations
from alembic.script import ScriptDirectory


class DatabaseObject(NamedTuple):
    """An object, with its kind as Alembic's `include_object` names it."""

    kind: str
    schema: str | None
    table: str | None
    name: str


class CreatedObjects:
    """The objects that exist after all revisions, and the SQL that they run."""

    def __init__(self, scripts: ScriptDirectory) -> None:
        self.objects: set[DatabaseObject] = set()
        self.statements: list[str] = []
        for script in reversed(list(scripts.walk_revisions())):
            for call in _Revision(Path(script.path)).calls():
                self._apply(call)

    def schemas(self) -> set[str | None]:
        return {created.schema for created in self.objects}

    def _apply(self, call: _Call) -> None:
        match call.operation:
            case "create_table":
                self._add("table", call, call.table, call.table)
                for kind, name in call.members():
                    self._add(kind, call, call.table, name)
            case "drop_table":
                self._remove(call, table=call.table)
            case "rename_table":
                self._rename_table(call)
            case "add_column":
                for kind, name in call.members():
                    self._add(kind, call, call.table, name)
            case "drop_column":
                self._remove(call, kinds={"column"}, table=call.table, name=call.name)
            case "alter_column":
                self._rename_column(call)
            case "create_index":
                self._add("index", call, call.table, call.name)
            case "drop_index":
                self._remove(call, kinds={"index"}, name=call.name)
            case "create_unique_constraint":
                self._add("unique_constraint", call, call.table, call.name)
            case "create_foreign_key":
                self._add("foreign_key_constraint", call, call.table, call.name)
            case "drop_constraint":
                kinds = {"unique_constraint", "foreign_key_constraint"}
                self._remove(call, kinds=kinds, table=call.table, name=call.name)
            case "execute":
                self.statements.append(call.text("sqltext") or "")

    def _add(self, kind: str, call: _Call, table: str | None, name: str | None) -> None:
        if table and name:
            self.objects.add(DatabaseObject(kind, call.schema, table, name))

    def _remove(self, call: _Call, *, kinds: set[str] | None = None, **names: str | None) -> None:
        wanted = {"schema": call.schema, **names}
        self.objects = {
            known
            for known in self.objects
            if (kinds and known.kind not in kinds)
            or any(getattr(known, field) != value for field, value in wanted.items())
        }

    def _rename_table(self, call: _Call) -> None:
        old, new = call.text("old_table_name"), call.text("new_table_name")
        if not new:
            return
        for known in list(self.objects):
            if (known.schema, known.table) == (call.schema, old):
                name = new if known.kind == "table" else known.name
                self.objects.remove(known)
                self.objects.add(DatabaseObject(known.kind, known.schema, new, name))

    def _rename_column(self, call: _Call) -> None:
        new = call.text("new_column_name")
        if new:
            self._remove(call, kinds={"column"}, table=call.table, name=call.name)
            self._add("column", call, call.table, new)


class _Call:
    """A call of an operation of Alembic, with its arguments by name."""

    def __init__(self, operation: str, arguments: dict[str, Any], names: dict[str, str]) -> None:
        self.operation = operation
        self._arguments = arguments
        self._names = names
        self.schema = self.text("schema", "source_schema")
        self.table = self.text("table_name", "source_table")
        self.name = self.text("column_name", "index_name", "constraint_name")

    def text(self, *parameters: str) -> str | None:
        """Return the string passed for one of the parameters, or None if it is not known."""
        for parameter in parameters:
            if parameter in self._arguments:
                return _text(self._arguments[parameter], self._names)
        return None

    def members(self) -> Iterator[tuple[str, str | None]]:
        """Yield the columns and constraints within a new table, or the new column."""
        kinds = {
            "Column": "column",
            "UniqueConstraint": "unique_constraint",
            "ForeignKeyConstraint": "foreign_key_constraint",
        }
        for node in self._arguments.get("columns") or (self._arguments.get("column"),):
            if not isinstance(node, ast.Call):
                continue
            kind = kinds.get(getattr(node.func, "attr", getattr(node.func, "id", "")), "")
            keywords = {keyword.arg: keyword.value for keyword in node.keywords}
            found = node.args[0] if kind == "column" and node.args else keywords.get("name")
            if kind:
                yield kind, _text(found, self._names)


class _Revision:
    """The file of a revision."""

    def __init__(self, path: Path) -> None:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        self._nodes = [
            node
            for statement in tree.body
            if not (isinstance(statement, ast.FunctionDef) and statement.name == "downgrade")
            for node in ast.walk(statement)
        ]
        self._names: dict[str, str] = {}
        for node in self._nodes:
            if isinstance(node, ast.Assign | ast.AnnAssign):
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                value = _text(node.value, self._names)
                if isinstance(target, ast.Name) and value is not None:
                    self._names[target.id] = value

    def calls(self) -> Iterator[_Call]:
        """Yield the calls of `op`, in the order of the file."""
        found = [node for node in self._nodes if isinstance(node, ast.Call)]
        for node in sorted(found, key=lambda node: (node.lineno, node.col_offset)):
            match node.func:
                case ast.Attribute(value=ast.Name(id="op"), attr=operation):
                    arguments = _arguments(operation, node)
                    call = _Call(operation, arguments, self._names)
                    # A schema that is not known is not the default schema.
                    is_default = isinstance(arguments.get("schema"), ast.Constant | None)
                    if call.schema or (is_default and "**" not in arguments):
                        yield call


def _arguments(operation: str, node: ast.Call) -> dict[str, Any]:
    """Return the arguments of a call by the names of the operation's parameters."""
    method = getattr(Operations, operation, None)
    keywords = {keyword.arg or "**": keyword.value for keyword in node.keywords}
    if method is None:
        return keywords
    try:
        bound = inspect.signature(method).bind_partial(None, *node.args, **keywords).arguments
    except TypeError:
        return keywords
    for parameter in ("kw", "dialect_kw"):
        bound |= bound.pop(parameter, {})
    return bound


def _text(node: ast.expr | None, names: dict[str, str]) -> str | None:
    """Return the string of a literal, a constant, an f-string of them, or `op.f()` of one."""
    match node:
        case ast.Constant(value=str(value)):
            return value
        case ast.Name(id=name):
            return names.get(name)
        case ast.Call(args=[first, *_]):
            return _text(first, names)
        case ast.JoinedStr(values=parts) | ast.FormattedValue(value=parts):
            texts = [_text(part, names) for part in (parts if isinstance(parts, list) else [parts])]
            return None if None in texts else "".join(map(str, texts))
        case _:
            return None
