"""`app remove`: the project without a resource."""

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from app.cli.commands import CommandError
from scaffold import wiring
from scaffold.changes import Changes
from scaffold.formatting import reformatted
from scaffold.patches import Checkout
from scaffold.project import Project, parsed
from scaffold.records import Record, digest, files_of, read_record, record_name, records_of
from scaffold.revisions import all_revisions

_EDITED: Final = "has been edited"


@dataclass(frozen=True)
class Removal:
    """The changes that remove a resource, and the problems that prevent them.

    `missing` is what is not there any more, or not yet, if `app new` was killed half way.
    """

    record: Record
    changes: Changes
    revisions: Mapping[str, str]  # the removed ones, each with the one that it followed
    unchecked: tuple[str, ...]  # files to delete that may have been edited
    problems: tuple[str, ...]
    missing: tuple[str, ...]
    uses: tuple[str, ...]  # the places that use it, which are problems, too
    users: tuple[str, ...]  # the resources that use it

    @property
    def other_problems(self) -> tuple[str, ...]:
        """The problems that are neither uses nor edits of its own files: lines that are not as they were."""
        own = [one for one in self.problems if not one.endswith(_EDITED)]
        return tuple(one for one in own if one not in self.uses)


def removal_of(project: Project, singular: str) -> Removal:
    """Return what removing a resource changes. Raises `CommandError` if there is no record of it."""
    record = read_record(project, singular)
    problems: list[str] = []
    missing: list[str] = []
    belonging = list(files_of(project, singular, record))
    files: dict[str, str | None] = dict.fromkeys(name for _, name in belonging)
    for pattern, expected in record.files.items():
        if expected and pattern not in files:
            missing.append(f"{pattern} is gone")
        elif expected and digest(project.read(pattern) or "") != expected:
            problems.append(f"{pattern} {_EDITED}")
    files[record_name(singular)] = None
    files |= _unwired(project, record, problems, missing)
    revisions = _revisions(project, files)
    followers = _followers(project, revisions, files)
    files |= followers | _updated_records(project, singular, followers)
    uses = dict(_leftovers(project, record, files))
    problems += uses
    others = {
        other: {name for _, name in files_of(project, other, read_record(project, other))}
        for other in records_of(project)
        if other != singular
    }
    users = tuple(other for other, names in others.items() if names & {*uses.values()})
    unchecked = tuple(name for pattern, name in belonging if not record.files[pattern])
    changes = Changes(project.root, files)
    return Removal(
        record, changes, revisions, unchecked, tuple(problems), tuple(missing), tuple(uses), users
    )


def _unwired(
    project: Project, record: Record, problems: list[str], missing: list[str]
) -> dict[str, str | None]:
    """Return the texts of other files without the lines of the resource.

    Where its lines are missing, a list that names it nevertheless is a problem.
    """
    steps: list[tuple[str, str, Callable[[str], str]]] = [
        *(
            (wiring.MODELS, module, partial(wiring.without_model, module=module, class_name=name))
            for module, name in record.models.items()
        ),
        *(
            (wiring.ROUTES, module, partial(wiring.without_router, module=module))
            for module in record.routers
        ),
        *(
            (wiring.JOBS, module, partial(wiring.without_kinds, module=module, kinds=kinds))
            for module, kinds in record.kinds.items()
        ),
        *((name, "", partial(_replaced, name, old, new)) for name, old, new in record.edits),
    ]
    texts: dict[str, str] = {}
    for name, module, change in steps:
        text = texts.get(name, project.read(name) or "")
        try:
            texts[name] = change(text)
        except CommandError as error:
            word = module.rpartition(".")[2]
            is_there = not word or re.search(rf"\b{word}\b", text)
            (problems if is_there else missing).append(str(error))
    for name in texts.keys() & wiring.LISTS:
        texts[name] = reformatted(project.root, name, texts[name])
    return dict(texts)


def _replaced(name: str, old: str, new: str, text: str) -> str:
    if text.count(old) != 1:
        raise CommandError(f"{name} does not have this text once: {old.strip()!r}")
    return text.replace(old, new)


def _revisions(project: Project, files: Mapping[str, str | None]) -> dict[str, str]:
    """Return the revisions in files to delete, with the one that each of them follows."""
    return {
        script.revision: str(script.down_revision)
        for script in all_revisions(project)
        if files.get(f"alembic/versions/{Path(script.path).name}", "") is None
    }


def _followers(
    project: Project, revisions: Mapping[str, str], files: Mapping[str, str | None]
) -> dict[str, str]:
    """Return the files of revisions that follow a removed one, with the one before it instead."""
    texts = {}
    for name in project.sources("alembic/versions/*.py"):
        text = before = project.read(name) or ""
        for _ in revisions:  # a removed one may follow another
            for revision, follows in revisions.items():
                text = re.sub(rf"\b{revision}\b", follows, text)
        if text != before and files.get(name, "") is not None:
            texts[name] = text
    return texts


def _updated_records(project: Project, singular: str, texts: Mapping[str, str]) -> dict[str, str]:
    """Return the records of other resources, with the digests of files that have these texts now.

    Not of files that somebody has edited: they stay edited.
    """
    records = {}
    for other in records_of(project):
        record = read_record(project, other)
        digests = {
            name: digest(text)
            for name, text in texts.items()
            if record.files.get(name) == digest(project.read(name) or "")
        }
        if digests and other != singular:
            changed = replace(record, files={**record.files, **digests})
            records[record_name(other)] = changed.text()
    return records


def _leftovers(
    project: Project, record: Record, files: Mapping[str, str | None]
) -> Iterator[tuple[str, str]]:
    """Yield where the rest of the project uses what is to be removed, with the file."""
    gone = {
        name.removesuffix(".py").replace("/", ".") for name, text in files.items() if text is None
    }
    for name in project.sources("app/**/*.py", "tests/**/*.py", "alembic/**/*.py"):
        text = files.get(name, project.read(name))
        if text is None:
            continue
        tree = parsed(text, name)
        for node in ast.walk(tree):
            for module in _imported(node):
                if module in gone:
                    yield f"{name}, line {getattr(node, 'lineno', 0)}, imports {module}", name
        in_sql = "\n".join(_strings(tree)) if name.startswith("alembic/") else ""
        for table in record.tables:
            if f'"{table}.id"' in text or re.search(rf"\b{table}\b", in_sql):
                yield f"{name} refers to the table {table}", name


def _imported(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Import(names=names):
            yield from (alias.name for alias in names)
        case ast.ImportFrom(module=str(module), names=names):
            yield module
            yield from (f"{module}.{alias.name}" for alias in names)


def _strings(migration: ast.Module) -> Iterator[str]:
    """Yield the strings of a migration, without its docstring and the names of columns."""
    columns = {
        node.args[0]
        for node in ast.walk(migration)
        if isinstance(node, ast.Call) and node.args and ast.unparse(node.func).endswith("Column")
    }
    for statement in migration.body[bool(ast.get_docstring(migration)) :]:
        for node in ast.walk(statement):
            match node:
                case ast.Constant(value=str(text)) if node not in columns:
                    yield text


def uncommitted(project: Project, names: Sequence[str]) -> list[str] | None:
    """Return which of the files differ from the last commit, or None outside of a repository.

    What git ignores is in no commit.
    """
    if not names:  # without names, git would report all files
        return []
    try:
        status = Checkout(project.root).git("status", "--porcelain", "--ignored", "--", *names)
    except CommandError:  # there is no git
        return None
    return None if status.returncode else [line[3:] for line in status.stdout.splitlines()]
