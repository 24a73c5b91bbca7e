"""What a project has already: its models, tables, routes and factories.

The files are read, not imported, so that a mistake in one of them does not get in the way.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from app.cli.commands import CommandError
from scaffold.words import snake_case


@dataclass(frozen=True)
class Model:
    """A model with a table of its own."""

    class_name: str
    module: str
    table: str
    is_soft_deleted: bool = False  # by the recipe `soft-delete`: other tables keep their rows, too


@dataclass(frozen=True)
class Project:
    """A checkout of the project."""

    root: Path

    def read(self, name: str) -> str | None:
        """Return the text of a file, or None if there is none. Raises `CommandError` if it is not UTF-8."""
        path = self.root / name
        try:
            return path.read_text(encoding="utf-8") if path.is_file() else None
        except UnicodeError:
            raise CommandError(f"{name} is not UTF-8 text: save it as UTF-8") from None

    def has(self, name: str) -> bool:
        """Return whether a file is there, or a package that would hide a module."""
        package = self.root / name.removesuffix(".py") / "__init__.py"
        return (self.root / name).exists() or package.exists()

    def parse(self, name: str) -> ast.Module:
        """Return the syntax tree of a module. Raises `CommandError` if it cannot be read."""
        return parsed(self.read(name) or "", name)

    def sources(self, *patterns: str) -> Iterator[str]:
        """Yield the names of the files that match one of the patterns."""
        for pattern in patterns:
            for path in sorted(self.root.glob(pattern)):
                yield path.relative_to(self.root).as_posix()

    @cached_property
    def models(self) -> dict[str, Model]:
        """The models by the names of their resources, such as `book_shelf`."""
        found = {}
        for name in self.sources("app/models/**/*.py"):
            for node in self.parse(name).body:
                if isinstance(node, ast.ClassDef) and (table := _table_of(node)):
                    module = name.removesuffix(".py").replace("/", ".")
                    bases = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
                    found[snake_case(node.name)] = Model(
                        node.name, module, table, is_soft_deleted="SoftDeletes" in bases
                    )
        return found

    @cached_property
    def tables(self) -> frozenset[str]:
        """The names of all tables, including those without a model."""
        return frozenset(
            {model.table for model in self.models.values()}
            | {
                node.args[0].value
                for name in self.sources("app/models/**/*.py")
                for node in ast.walk(self.parse(name))
                if isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name | ast.Attribute)
                and ast.unparse(node.func).rpartition(".")[2] == "Table"
                and node.args
                and isinstance(node.args[0], ast.Constant)
                and isinstance(node.args[0].value, str)
            }
        )

    @cached_property
    def prefixes(self) -> frozenset[str]:
        """The prefixes of all routers."""
        return frozenset(
            prefix
            for name in self.sources("app/routes/**/*.py")
            for prefix in re.findall(r'\bprefix="([^"]*)"', self.read(name) or "")
        )

    @cached_property
    def routes(self) -> frozenset[str]:
        """The names of the functions of all routers."""
        return frozenset(
            function
            for name in self.sources("app/routes/**/*.py")
            for function in re.findall(r"\basync def (\w+)\(", self.read(name) or "")
        )

    def factory_of(self, resource: str) -> str | None:
        """Return the module in `tests` with the function that makes a row, or None."""
        for name in self.sources("tests/*.py", "tests/routes/**/*.py"):
            defined = {getattr(node, "name", "") for node in self.parse(name).body}
            if f"make_{resource}" in defined:
                return name.removesuffix(".py").replace("/", ".")
        return None


def parsed(text: str, name: str) -> ast.Module:
    """Return the syntax tree of the text of a module. Raises `CommandError` if it has none."""
    try:
        return ast.parse(text)
    except SyntaxError as error:
        raise CommandError(f"{name}, line {error.lineno}: {error.msg}") from None


def _table_of(node: ast.ClassDef) -> str | None:
    for statement in node.body:
        match statement:
            case ast.Assign(
                targets=[ast.Name("__tablename__")], value=ast.Constant(value=str(table))
            ):
                return table
    return None
