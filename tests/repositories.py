"""Scratch repositories of git, whatever the user's own settings of git are."""

import os
from collections.abc import Mapping
from pathlib import Path

from processes import output_of

NO_SETTINGS = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
IDENTITY = NO_SETTINGS | {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
}


def git(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    """Run git in the folder and return what it prints; raise AssertionError with it on failure."""
    environment = {**os.environ, **IDENTITY, **(env or {})}
    return output_of("git", *arguments, folder=folder, env=environment).strip()


def make_repository(folder: Path) -> Path:
    """Make a repository of the folder, whose files, if it has any, are the first commit."""
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit_all(folder, "Initial commit")
    return folder


def commit_all(repository: Path, message: str) -> str:
    """Commit the work tree as it is and return the commit's hash."""
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--allow-empty", f"--message={message}")
    return git(repository, "rev-parse", "HEAD")
