"""Where the releases are in the history of git."""

import json
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
