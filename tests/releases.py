"""Where the releases are in the history of git, and what has moved since the last one."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

from promised_names import METHODS, promised_names, without_names
from repositories import git

FULL_HISTORY = (
    "the release before is not in this clone, and updates begin there: fetch the whole history, "
    "a shallow clone's by `git fetch --unshallow --tags` (actions/checkout: `fetch-depth: 0`)"
)


# From this version on, an edited project is updated without conflicts.
PROMISED = (0, 2)


class NoReleaseError(Exception):
    """Says why the release before cannot be found."""


def previous_release(repository: Path) -> str:
    """Return the commit of the newest release that is not the work tree itself."""
    for release in releases(repository):
        if git(repository, "diff", "--name-only", release):
            return release
    raise NoReleaseError(FULL_HISTORY)


def releases(repository: Path) -> Iterator[str]:
    """Yield the commits of the releases, newest first.

    A release is what the tag of its version names, or else the commit that brought the version.
    """
    if git(repository, "rev-parse", "--is-shallow-repository") == "true":
        raise NoReleaseError(FULL_HISTORY)
    bringing = git(
        repository, "log", "--format=%H", "-G", '"_version":', "--", "cookiecutter.json"
    ).split()
    tags = git(repository, "tag", "--list").split()
    for commit in bringing:
        version = version_of(repository, commit)
        yield git(repository, "rev-list", "-1", version) if version in tags else commit


def version_of(repository: Path, commit: str) -> str:
    return str(json.loads(git(repository, "show", f"{commit}:cookiecutter.json"))["_version"])


def version_number(repository: Path, commit: str) -> tuple[int, ...]:
    return tuple(map(int, version_of(repository, commit).split(".")))


def moved_without_entry(repository: Path, folder: str, release: str) -> list[str]:
    """Return the files of the folder that are gone from where the release had them, unmentioned.

    UPGRADING.md has to name each in a line that it did not have at the release.
    """
    gone = git(
        repository, "diff", "-z", "--name-only", "--no-renames", "--diff-filter=D", "--relative",
        release, "--", folder,
    )  # fmt: skip
    added = _added_entries(repository, release)
    names = [name.removeprefix(f"{folder}/") for name in gone.split("\0") if name]
    return [name for name in names if f"`{name}`" not in added]


def unreleased_entries(repository: Path) -> str:
    """Return what the newest commit has under `Unreleased` in UPGRADING.md, if it is a release."""
    if next(releases(repository)) != git(repository, "rev-parse", "HEAD"):
        return ""
    text = git(repository, "show", "HEAD:UPGRADING.md")
    section = re.search(r"^## Unreleased$(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    return section[1].strip() if section else ""


# Called by FastAPI, which passes what the signature asks for.
CALLED_BY_FASTAPI = ("app/dependencies/", "app/routes/")


def gone_names_without_entry(repository: Path, folder: str, release: str) -> list[str]:
    """Return the public names that modules of the folder no longer have, unmentioned.

    A name is that of a function, class, constant, method or parameter: `module:name`,
    `module:Class.method`, `module:function(parameter)`, or `module:Class(parameter)` for a
    constructor. UPGRADING.md has to have its words between backticks, in one line that it did not have
    at the release. `moved_without_entry` finds modules that are gone. A parameter that became
    keyword-only, and a new one that callers have to give, are not found.
    """
    entries = [
        {word for span in spans_of(line) for word in re.findall(r"\w+", span)}
        for line in _added_entries(repository, release).splitlines()
    ]
    found = []
    files = git(repository, "ls-tree", "-rz", "--name-only", release, f"{folder}/app").split("\0")
    for file in files:
        path = repository / file
        if not file.endswith(".py") or not path.is_file():
            continue
        then = public_names(git(repository, "show", f"{release}:{file}"))
        now = public_names(path.read_text(encoding="utf-8"))
        module = file.removeprefix(f"{folder}/")
        for name in sorted(_gone(then, now)):
            if "(" in name and module.startswith(CALLED_BY_FASTAPI):
                continue
            if not any({*re.findall(r"\w+", name)} <= entry for entry in entries):
                found.append(f"{module}:{name}")
    return found


def gone_promises_without_entry(repository: Path, folder: str, release: str) -> list[str]:
    """Return the routes, error codes and variables that a project no longer has, unmentioned.

    UPGRADING.md has to name each between backticks, in a line that it did not have at the release, and a
    route by its path, with its method or without any. Codes that follow from a status are not compared.
    """
    listed = git(repository, "ls-tree", "-rz", "--name-only", release, f"{folder}/").split("\0")
    then = {
        name.removeprefix(f"{folder}/"): git(repository, "show", f"{release}:{name}")
        for name in listed
        if re.fullmatch(rf"{folder}/(app/.*\.py|\.env\.example)", name)
    }
    project = repository / folder
    paths = [*(project / "app").rglob("*.py"), *project.glob(".env.example")]
    now = {path.relative_to(project).as_posix(): path.read_text("utf-8") for path in paths}
    lines = _added_entries(repository, release).splitlines()
    spans = [without_names(span) for line in lines for span in spans_of(line)]
    gone = promised_names(then) - promised_names(now)
    return sorted(name for name in gone if not any(names(span, name) for span in spans))


def spans_of(line: str) -> list[str]:
    """Return what stands between backticks."""
    return line.split("`")[1::2]


def names(span: str, promised: str) -> bool:
    """Return whether words between backticks name a route, a code or a variable."""
    words = {*re.findall(r"[^\s,=]+", span)}
    method, _, name = promised.rpartition(" ")
    return name in words and (method in words or words.isdisjoint(METHODS))


def _gone(then: set[str], now: set[str]) -> set[str]:
    """Return the names that are gone, without the parts of what is gone or defined elsewhere now."""
    members = {name.rpartition(".")[2] for name in now if "." in name}  # perhaps of a base
    defined = {parent for name in now for parent in _parents(name)}
    return {
        name
        for name in then - now
        if name.rpartition(".")[2] not in members and _parents(name) <= defined
    }


def public_names(source: str) -> set[str]:
    """Return what owners of a module import, call and pass, old names that it still knows included."""
    tree = ast.parse(source)
    names = _names_of(tree.body, "")
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name="__getattr__"):
                names |= {
                    text for text in _texts(node, *_looked_up(tree, node)) if text.isidentifier()
                }
            case ast.ImportFrom(names=aliases):
                names |= {alias.asname for alias in aliases if alias.asname}
    return names


def _looked_up(tree: ast.Module, function: ast.FunctionDef) -> Iterator[ast.expr]:
    """Yield the keys of the dictionaries in which `__getattr__` looks names up."""
    used = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    for node in ast.walk(tree):
        match node:
            case (
                ast.Assign(targets=[ast.Name(name)], value=ast.Dict(keys=keys))
                | ast.AnnAssign(target=ast.Name(name), value=ast.Dict(keys=keys))
            ) if name in used:
                yield from filter(None, keys)


def _texts(*nodes: ast.AST) -> set[str]:
    parts = (part for node in nodes for part in ast.walk(node) if isinstance(part, ast.Constant))
    return {part.value for part in parts if isinstance(part.value, str)}


def _names_of(body: list[ast.stmt], prefix: str) -> set[str]:
    names: set[str] = set()
    for statement in body:
        match statement:
            case ast.ClassDef(name=name, body=inner):
                names |= {f"{prefix}{name}", *_names_of(inner, f"{prefix}{name}.")}
            case ast.FunctionDef(name=name, args=args) | ast.AsyncFunctionDef(name=name, args=args):
                parameters = [*args.posonlyargs, *args.args, *args.kwonlyargs]
                called = prefix.removesuffix(".") if name == "__init__" else f"{prefix}{name}"
                calls = {f"{called}({one.arg})" for one in parameters if one.arg != "self"}
                names |= {f"{prefix}{name}", f"{called}()", *calls}
            case ast.Assign(value=ast.Call(func=ast.Name("TypeVar"))):
                pass
            case ast.Assign(targets=[ast.Name(name)]) | ast.AnnAssign(target=ast.Name(name)):
                names.add(f"{prefix}{name}")
            case ast.If(body=inner, orelse=other) | ast.Try(body=inner, orelse=other):
                names |= _names_of([*inner, *other], prefix)
    return {name for name in names if not re.search(r"(^|[.(])_|\bmodel_config$|^logger$", name)}


def _parents(name: str) -> set[str]:
    """Return the class and the function to which a name belongs."""
    function = name.partition("(")[0]
    return {function, function.partition(".")[0]} - {name}


def _added_entries(repository: Path, release: str) -> str:
    now = (repository / "UPGRADING.md").read_text(encoding="utf-8").splitlines()
    then = git(repository, "show", f"{release}:UPGRADING.md").splitlines()
    return "\n".join(line for line in now if line not in then)
