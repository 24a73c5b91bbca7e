"""Where the releases are in the history of git."""

import json
import re
from pathlib import Path

from repositories import git

FULL_HISTORY = (
    "the release before is not in this clone, and updates begin there: fetch the whole history by "
    "`git fetch --unshallow --tags` (actions/checkout: `fetch-depth: 0`)"
)


class NoReleaseError(Exception):
    """Says why the release before cannot be found."""


def previous_release(repository: Path) -> str:
    """Return the commit of the newest release that is not the work tree itself.

    It is what the tag of its version names, or else the commit that brought the version.
    """
    if git(repository, "rev-parse", "--is-shallow-repository") == "true":
        raise NoReleaseError(FULL_HISTORY)
    bringing = git(
        repository, "log", "--format=%H", "-G", '"_version":', "--", "cookiecutter.json"
    ).split()
    tags = git(repository, "tag", "--list").split()
    for commit in bringing:
        version = json.loads(git(repository, "show", f"{commit}:cookiecutter.json"))["_version"]
        release = git(repository, "rev-list", "-1", version) if version in tags else commit
        if git(repository, "diff", "--name-only", release):
            return release
    raise NoReleaseError(FULL_HISTORY)


def moved_without_entry(repository: Path, folder: str, release: str) -> list[str]:
    """Return the files of the folder that are gone from where the release had them, unmentioned.

    The sections of UPGRADING.md that an update from the release is about have to name each.
    """
    gone = git(
        repository, "diff", "-z", "--name-only", "--no-renames", "--diff-filter=D", "--relative",
        release, "--", folder,
    )  # fmt: skip
    version = json.loads(git(repository, "show", f"{release}:cookiecutter.json"))["_version"]
    upgrading = (repository / "UPGRADING.md").read_text(encoding="utf-8")
    # Newest first, and the last that counts is the release's own minor: a patch may follow it.
    news, heading, rest = upgrading.partition(f"\n## {version.rpartition('.')[0]}\n")
    sections = re.sub(r"(?s)^.*?(?=^## |\Z)", "", news, count=1, flags=re.MULTILINE)
    sections += heading + re.split(r"^## ", rest, maxsplit=1, flags=re.MULTILINE)[0]
    names = [name.removeprefix(f"{folder}/") for name in gone.split("\0") if name]
    return [name for name in names if f"`{name}`" not in sections]
