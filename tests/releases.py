"""Where the releases are in the history of git."""

import json
from collections.abc import Iterator
from pathlib import Path

from repositories import git

FULL_HISTORY = (
    "the release before is not in this clone, and updates begin there: fetch the whole history by "
    "`git fetch --unshallow --tags` (actions/checkout: `fetch-depth: 0`)"
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


def promised_release(repository: Path) -> str | None:
    """Return the previous release if updates from it have no conflicts, or None if it is older."""
    release = previous_release(repository)
    version = tuple(map(int, version_of(repository, release).split(".")))
    return release if version >= PROMISED else None


def moved_without_entry(repository: Path, folder: str, release: str) -> list[str]:
    """Return the files of the folder that are gone from where the release had them, unmentioned.

    UPGRADING.md has to name each in a line that it did not have at the release.
    """
    gone = git(
        repository, "diff", "-z", "--name-only", "--no-renames", "--diff-filter=D", "--relative",
        release, "--", folder,
    )  # fmt: skip
    now = (repository / "UPGRADING.md").read_text(encoding="utf-8").splitlines()
    then = git(repository, "show", f"{release}:UPGRADING.md").splitlines()
    added = "\n".join(line for line in now if line not in then)
    names = [name.removeprefix(f"{folder}/") for name in gone.split("\0") if name]
    return [name for name in names if f"`{name}`" not in added]
