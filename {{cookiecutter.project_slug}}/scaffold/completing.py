"""Fits the patch of a recipe to the project: where its migration follows, and the lists of what it adds."""

import json
import re
from collections.abc import Callable, Iterator
from difflib import unified_diff
from fnmatch import fnmatchcase
from functools import partial
from typing import Final

from app.cli.commands import CommandError
from scaffold import wiring
from scaffold.formatting import reformatted
from scaffold.patches import Patch
from scaffold.project import Project
from scaffold.records import read_record, record_name, records_of
from scaffold.revisions import all_revisions, head

_REVISION: Final = re.compile(r'^\+revision: str = "(\w+)"$', re.MULTILINE)
_FOLLOWS: Final = re.compile(r'^\+down_revision: str \| None = "(\w+)"$', re.MULTILINE)
_ROUTER: Final = re.compile(r"^router\b", re.MULTILINE)
_MODEL: Final = re.compile(r"^class (\w+)\((?:.+, )?Base\):", re.MULTILINE)
_KIND: Final = re.compile(r"^(\w+)(?:: .+)? = JobKind\(", re.MULTILINE)

# The file of a list, and what adds an entry to its text or takes it out.
_Entry = tuple[str, Callable[[str], str], Callable[[str], str]]


def completed(project: Project, text: str) -> Patch:
    """Return the patch for a project.

    Its first revision follows the newest one of the project or, if it has been added, what it
    follows there. New routers, models and kinds of jobs are listed where the project knows them, unless
    the patch changes that list itself.
    """
    patch = Patch(_following(project, text))
    return Patch(patch.text + "".join(_lists(project, patch)))


def revisions_of(patch: Patch) -> list[str]:
    return _REVISION.findall(patch.text)


def followed_by(patch: Patch) -> str:
    """Return the revision that the first one of a patch follows."""
    (follows,) = {*_FOLLOWS.findall(patch.text)} - {*revisions_of(patch)}
    return str(follows)


def _following(project: Project, text: str) -> str:
    revisions = revisions_of(Patch(text))
    if not revisions:
        return text
    scripts = {script.revision: script for script in all_revisions(project)}
    added = [str(scripts[one].down_revision) for one in revisions if one in scripts]
    follows = next((one for one in added if one not in revisions), None) or head(project)
    return re.sub(rf"\b{followed_by(Patch(text))}\b", follows, text)


def _lists(project: Project, patch: Patch) -> Iterator[str]:
    """Yield the parts of the patch for the lists that change."""
    texts: dict[str, tuple[str, str]] = {}  # without the entries, and with them
    for name, add, take_out in _entries(project, patch):
        if name in patch.files:
            continue
        current = project.read(name) or ""
        before, after = texts.get(name, (current, current))
        try:
            before = take_out(before)
        except CommandError:  # it is not there yet
            after = add(after)
        texts[name] = before, after
    for name, (before, after) in texts.items():
        if name in wiring.LISTS:
            there = project.read(name)  # which stays as it is, even if nobody has formatted it
            before, after = (
                text if text == there else reformatted(project.root, name, text)
                for text in (before, after)
            )
        old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
        diff = unified_diff(old, new, f"a/{name}", f"b/{name}")
        yield "".join([f"diff --git a/{name} b/{name}\n", *diff])


def _entries(project: Project, patch: Patch) -> Iterator[_Entry]:
    for name in patch.created:
        folder, _, stem = name.removesuffix(".py").rpartition("/")
        text = "\n".join(patch.added(name))
        if folder == "app/routes" and _ROUTER.search(text):
            add, take_out = wiring.with_router, wiring.without_router
            yield wiring.ROUTES, partial(add, module=stem), partial(take_out, module=stem)
            for record in _records_with(project, name):
                yield record, partial(_listed, router=stem), partial(_unlisted, router=stem)
        elif folder == "app/jobs" and (kinds := _KIND.findall(text)):
            yield (
                wiring.JOBS,
                partial(wiring.with_kinds, module=stem, kinds=kinds),
                partial(wiring.without_kinds, module=stem, kinds=kinds),
            )
        elif f"{folder}/".startswith("app/models/"):  # and below
            yield from _models(f"{folder}/{stem}".replace("/", "."), text)


def _models(module: str, text: str) -> Iterator[_Entry]:
    for class_name in _MODEL.findall(text):
        yield (
            wiring.MODELS,
            partial(wiring.with_model, module=module, class_name=class_name),
            partial(wiring.without_model, module=module, class_name=class_name),
        )


def _records_with(project: Project, name: str) -> Iterator[str]:
    """Yield the records that name a file: `app remove` then takes out its router, too."""
    for singular in records_of(project):
        if any(fnmatchcase(name, pattern) for pattern in read_record(project, singular).files):
            yield record_name(singular)


def _listed(text: str, router: str) -> str:
    """Return the text of a record with a router."""
    record = json.loads(text)
    record["routers"].append(router)
    return json.dumps(record, indent=2) + "\n"


def _unlisted(text: str, router: str) -> str:
    """Return the text of a record without a router. Raises `CommandError` if it has none."""
    record = json.loads(text)
    if router not in record["routers"]:
        raise CommandError(f"The record does not have the router {router}")
    record["routers"].remove(router)
    return json.dumps(record, indent=2) + "\n"
