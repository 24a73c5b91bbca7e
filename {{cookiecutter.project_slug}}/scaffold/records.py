"""What belongs to a resource, in `scaffold/resources`, so that `app remove` finds it again."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from app.cli.commands import CommandError
from scaffold.project import Project

FOLDER: Final = "scaffold/resources"
DEMO: Final = "post"


@dataclass(frozen=True)
class Record:
    """The files and lines of a resource.

    `kinds` are the kinds of jobs by their module. `files` has their digests, or null for files that may
    have changed, whose names may be patterns.
    `edits` are replacements in other files: the name, the text there, and the text without the resource.
    """

    command: str
    tables: tuple[str, ...] = ()
    models: Mapping[str, str] = field(default_factory=dict)
    routers: tuple[str, ...] = ()
    kinds: Mapping[str, Sequence[str]] = field(default_factory=dict)
    files: Mapping[str, str | None] = field(default_factory=dict)
    edits: tuple[tuple[str, str, str], ...] = ()

    def text(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"


def record_name(singular: str) -> str:
    return f"{FOLDER}/{singular}.json"


def there_already(project: Project, singular: str, what: str) -> CommandError:
    """Return the error of a name that is taken, with the remedy if there is a record of it."""
    remedy = "choose another name"
    if project.has(record_name(singular)):
        remedy = f"`uv run app remove {singular}` takes it out"
    return CommandError(f"{singular} is there already: {what}; {remedy}")


def records_of(project: Project) -> list[str]:
    """Return the resources of which there are records."""
    names = [name.rpartition("/")[2] for name in project.sources(f"{FOLDER}/*.json")]
    return [name.removesuffix(".json") for name in names]


def read_record(project: Project, singular: str) -> Record:
    """Return the record of a resource. Raises `CommandError` if there is none."""
    text = project.read(record_name(singular))
    if text is None:
        known = ", ".join(records_of(project)) or "none"
        raise CommandError(
            f"`app new` has not written {singular}, so nothing says which files belong to it "
            f"({record_name(singular)} is missing): change them by hand. There are records of: {known}"
        )
    values: dict[str, Any] = json.loads(text)
    return Record(**values)


def has_demo(project: Project) -> bool:
    """Return whether the demo is there, by its own name, and not a resource of `app new` by that name."""
    if DEMO not in records_of(project):
        return False
    record = read_record(project, DEMO)
    return any(files_of(project, DEMO, record)) and not any(record.files.values())


def files_of(project: Project, singular: str, record: Record) -> Iterator[tuple[str, str]]:
    """Yield the patterns of a record with each file that matches, but not those of other resources.

    So `app/*/post_*.py` of the demo does not take a `post_office` in.
    """
    others = {
        name
        for other in records_of(project)
        if other != singular
        for name in read_record(project, other).files
    }
    for pattern in record.files:
        for name in project.sources(pattern):
            if name not in others:
                yield pattern, name


def digest(text: str) -> str:
    """Return a digest of a text, whatever the ends of its lines are."""
    return hashlib.sha256(text.replace("\r\n", "\n").encode()).hexdigest()
