"""Takes features out of a project, as its docs/howto/features.md says."""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from baking import ROOT, run
from project_edits import Edits, change
from repositories import git
from terminal import Terminal, lines_of

# Patches fit what is left of a bake without the files and definitions of their feature.
PATCHES = ROOT / "tests" / "features"
QUOTATION = re.compile(
    r"^```python\n# (?P<path>(?:app|alembic|tests)/\S+)\n(?P<code>(?s:.*?))^```\n\n?", re.MULTILINE
)
OMISSION = re.compile(r"^ *\.\.\.\n", re.MULTILINE)

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Feature:
    """What goes with a feature: files, definitions in others, texts, and its tables or columns."""

    heading: str  # of its section in docs/howto/features.md
    files: tuple[str, ...]  # glob patterns
    definitions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    edits: Edits = field(default_factory=dict)
    # What is in many files: glob pattern, regular expression, and what takes its place.
    everywhere: tuple[tuple[str, str, str], ...] = ()
    # The tests to delete: glob pattern, and regular expression for what they use.
    tests: tuple[tuple[str, str], ...] = ()
    # What a feature of many lines leaves to edit, in tests/features/.
    patch: str = ""
    # Where auth has more of it, or something else than the variant without.
    with_auth: "Feature | None" = None
    without_auth: "Feature | None" = None

    def parts(self, *, use_auth: bool) -> Iterator["Feature"]:
        other = self.with_auth if use_auth else self.without_auth
        yield from (self, other) if other else (self,)


def take_out(project: Path, feature: Feature, *, use_auth: bool) -> None:
    """Delete and edit what belongs to the feature, and have ruff remove the imports that are left."""
    remove_parts(project, feature, use_auth=use_auth)
    for name in ("app/routes", "tests/platform"):
        for path in (project / name).rglob("*.py"):
            remove_unused_parameters(path)
    remove_section(project / "docs/howto/features.md", feature.heading)
    for document in (project / "docs").rglob("*.md"):
        remove_stale_quotations(project, document)
    run(project, "ruff", "check", "--fix", "--quiet", "--select=F401,I", "app", "tests")
    run(project, "ruff", "format", "--quiet", "app", "tests")


def remove_parts(project: Path, feature: Feature, *, use_auth: bool) -> None:
    """Delete files and definitions, and make edits."""
    for part in feature.parts(use_auth=use_auth):
        for pattern in part.files:
            paths = [*project.glob(pattern)]
            assert paths, f"no file is called {pattern}"
            for path in paths:
                path.unlink()
        for name, definitions in part.definitions.items():
            remove_definitions(project / name, definitions)
        for pattern, expression in part.tests:
            remove_tests(project, pattern, expression)
        for pattern, expression, new in part.everywhere:
            replace_everywhere(project, pattern, expression, new)
        change(project, part.edits)
        if part.patch:
            git(project, "apply", str(PATCHES / part.patch))


def remove_stale_quotations(project: Path, document: Path) -> None:
    """Remove the blocks of code that quote what is no longer there, as the project's test_patterns.py asks."""
    text = document.read_text(encoding="utf-8")
    for block in QUOTATION.finditer(text):
        path = project / block["path"]
        source = f"\n{path.read_text(encoding='utf-8')}" if path.exists() else ""
        passages = [part.strip("\n") for part in OMISSION.split(block["code"])]
        if not all(f"\n{passage}\n" in source for passage in passages if passage):
            text = text.replace(block[0], "")
    document.write_text(text, encoding="utf-8")


def replace_everywhere(project: Path, pattern: str, expression: str, new: str) -> None:
    for path in project.glob(pattern):
        text = path.read_text(encoding="utf-8")
        replaced = re.sub(expression, new, text, flags=re.MULTILINE)
        if replaced != text:
            path.write_text(replaced, encoding="utf-8")


def remove_tests(project: Path, pattern: str, expression: str) -> None:
    """Remove the tests whose source, with its decorators, has a match."""
    for path in project.glob(pattern):
        source = path.read_text(encoding="utf-8")
        lines = source.splitlines()
        using = [
            name
            for name, node in _definitions(ast.parse(source).body)
            if name.startswith("test_")
            and re.search(expression, "\n".join(lines[_first_line(node) : node.end_lineno]))
        ]
        remove_definitions(path, tuple(using))


def remove_unused_parameters(path: Path) -> None:
    """Remove `request` and `response` from routes that no longer use them, as ruff demands (ARG001)."""
    text = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.AsyncFunctionDef) or not node.decorator_list:
            continue
        used = {
            name.id for part in node.body for name in ast.walk(part) if isinstance(name, ast.Name)
        }
        signature = text[text.index(f"async def {node.name}(") :].partition(") ->")[0]
        shorter = signature
        for name, kind in (("request", "Request"), ("response", "Response")):
            if name not in used:
                shorter = re.sub(rf",\s*{name}: {kind}\b", "", shorter)
        text = text.replace(signature, shorter)
    path.write_text(text, encoding="utf-8")


def remove_definitions(path: Path, names: tuple[str, ...]) -> None:
    """Remove functions, classes and their methods, with the comments and decorators above them."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    found = dict(_definitions(ast.parse("".join(lines)).body))
    for node in sorted((found[name] for name in names), key=lambda node: -node.lineno):
        first = _first_line(node)
        while first and lines[first - 1].startswith("#"):
            first -= 1
        del lines[first : node.end_lineno]
    path.write_text("".join(lines), encoding="utf-8")


def _first_line(node: Definition) -> int:
    """Return the index of the first line, which may be a decorator."""
    return min([node.lineno, *(one.lineno for one in node.decorator_list)]) - 1


def _definitions(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, Definition]]:
    for node in body:
        if isinstance(node, Definition):
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from _definitions(node.body, f"{node.name}.")


def section(document: Path, heading: str) -> str:
    """Return a section of a document, with its heading."""
    text = document.read_text(encoding="utf-8")
    (found,) = re.findall(rf"^## {heading}\n(?s:.*?)(?=^## |\Z)", text, re.MULTILINE)
    return str(found)


def remove_section(document: Path, heading: str) -> None:
    text = document.read_text(encoding="utf-8").replace(section(document, heading), "")
    document.write_text(f"{text.rstrip()}\n", encoding="utf-8")


def write_migration(project: Path, message: str, url: str, settings: Mapping[str, str]) -> None:
    """Type what docs/howto/features.md says, and mark what the migration drops as intended.

    The last line runs the suite, and mypy is one of the checks of a project: both are left to the tests.
    """
    terminal = Terminal(project, {**settings, "DATABASE_URL": url})
    lines = lines_of(project / "docs/howto/features.md")
    for line in lines[: lines.index("uv run pytest")]:
        if line != "uv run mypy":
            terminal.type_in(line.replace("drop what is gone", message))
    (path,) = project.glob(f"alembic/versions/*_{message.replace(' ', '_')}.py")
    upgrade, downgrade = path.read_text(encoding="utf-8").split("def downgrade()")
    upgrade = re.sub(
        r"^    op\.drop_index\(.*\n", "", upgrade, flags=re.MULTILINE
    )  # with the table
    upgrade = re.sub(r'op\.drop_table\("(\w+)"\)', _dropped("table", r"DROP TABLE \1"), upgrade)
    column = r'op\.drop_column\("(\w+)", "(\w+)"\)'
    upgrade = re.sub(column, _dropped("column", r"ALTER TABLE \1 DROP COLUMN \2"), upgrade)
    path.write_text(f"{upgrade}def downgrade(){downgrade}", encoding="utf-8")
    run(project, "ruff", "format", "--quiet", str(path))


def _dropped(kind: str, statement: str) -> str:
    return rf'op.execute("-- squawk-ignore ban-drop-{kind}\\n{statement}")'
