"""Patches as git writes and applies them."""

import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

from app.cli.commands import CommandError
from scaffold.changes import Changes

_FILE: Final = re.compile(r"^diff --git a/(\S+) b/\S+\n", re.MULTILINE)
# A renamed file has two names.
_NAMES: Final = re.compile(
    r"^(?:diff --git a/(\S+) b/(\S+)|(?:---|\+\+\+) [ab]/([^\t\n]+))", re.MULTILINE
)
_HUNK: Final = re.compile(r"^@@ -(\d+)\S* \+(\d+)\S* @@.*\n", re.MULTILINE)
# What git says of a patch that it does not apply, if no locale translates it.
_FAILED: Final = re.compile(r"^error: patch failed: (\S+):(\d+)$", re.MULTILINE)
_EXISTS: Final = re.compile(r"^error: (\S+): already exists in working directory$", re.MULTILINE)
_MISSING: Final = re.compile(r"^error: (\S+): No such file or directory$", re.MULTILINE)


class Rest(NamedTuple):
    """What of a patch was not applied.

    `rejected` are files with hunks, named `*.rej`. `skipped` are files of which nothing was applied,
    each with the reason.
    """

    rejected: list[str]
    skipped: dict[str, str]


@dataclass(frozen=True)
class Patch:
    """The text of a patch."""

    text: str

    @cached_property
    def files(self) -> dict[str, str]:
        """The part for each file, by the name of the file."""
        _, *parts = _FILE.split(self.text)
        return dict(zip(parts[::2], parts[1::2], strict=True))

    @property
    def names(self) -> set[str]:
        """The names of all files that the patch reads or writes."""
        return {name for match in _NAMES.findall(self.text) for name in match if name}

    @property
    def created(self) -> list[str]:
        """The files that the patch creates."""
        return [name for name, part in self.files.items() if part.startswith("new file")]

    def added(self, name: str) -> list[str]:
        """Return the lines that are added to a file."""
        lines = self.files.get(name, "").splitlines()
        return [line[1:] for line in lines if line.startswith("+") and not line.startswith("+++")]

    def hunk(self, name: str, line: int, *, reverse: bool) -> str:
        """Return the hunk that starts at a line of a file: before the patch, or after it."""
        _, *parts = _HUNK.split(self.files[name])
        starts = parts[1::3] if reverse else parts[::3]
        return dict(zip(map(int, starts), parts[2::3], strict=True))[line].rstrip()


@dataclass(frozen=True)
class Checkout:
    """The files of a project, to which git applies patches."""

    root: Path

    def problems(self, patch: Patch, *, reverse: bool = False) -> list[str]:
        """Return why a patch does not fit, or cannot be undone: file, line and what was expected."""
        completed = self._apply(patch, "--check", reverse=reverse)
        if not completed.returncode:
            return []
        told = self._told(completed)
        return list(_sentences(patch, told, reverse=reverse)) or [told.strip()]

    def apply(self, patch: Patch, *, reverse: bool = False) -> None:
        """Apply a patch, or undo it: all of it or nothing. Raises `CommandError`."""
        completed, changes = self._applied_aside(patch, reverse=reverse)
        if completed.returncode:
            raise CommandError(f"git changed nothing: {completed.stderr.strip()}")
        changes.apply()

    def apply_what_fits(self, patch: Patch) -> Rest:
        """Apply the hunks that fit, and return the rest. Raises `CommandError` if nothing is changed."""
        completed, changes = self._applied_aside(patch, "--reject")
        if completed.returncode and not changes.files:
            raise CommandError(f"git changed nothing: {completed.stderr.strip()}")
        changes.apply()
        names = [f"{name}.rej" for name in patch.files]
        rejected = [name for name in names if name in changes.files]
        return Rest(rejected, _left_alone(self._told(completed)))

    def require_clean(self) -> None:
        """Raise `CommandError` unless all changes of tracked files are committed."""
        # `uv run` itself may have changed the lock.
        places = (".", ":(exclude)uv.lock")
        status = self.git("status", "--porcelain", "--untracked-files=no", "--", *places)
        if status.returncode:
            raise CommandError(
                "This folder is not in a git repository, so the change could not be undone. "
                "Run `git init && git add -A && git commit -m Bake` first"
            )
        if self.git("cat-file", "-e", f"HEAD:{self._prefix}pyproject.toml").returncode:
            raise CommandError(
                "This project was never committed, so the change could not be undone. "
                "Run `git add -A && git commit -m Bake` first, or `git add --force` if git ignores it"
            )
        if status.stdout:
            changed = ", ".join(line[3:] for line in status.stdout.splitlines())
            raise CommandError(f"Commit or stash your changes first: {changed}")

    def git(self, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run git in the project. Raises `CommandError` if there is none."""
        try:
            completed = subprocess.run(  # noqa: S603
                ["git", *arguments],  # noqa: S607 (wherever it is)
                cwd=self.root,
                env={**os.environ, "LC_ALL": "C"},  # messages are parsed
                input=text.encode(),  # as text, Windows would write other ends of lines
                capture_output=True,
                check=False,
            )
        except FileNotFoundError:
            raise CommandError("This needs git, which is not installed") from None
        out, err = (one.decode(errors="replace") for one in (completed.stdout, completed.stderr))
        return subprocess.CompletedProcess(completed.args, completed.returncode, out, err)

    @cached_property
    def _prefix(self) -> str:
        """The folder of the project in its repository, with a slash, or nothing."""
        return self.git("rev-parse", "--show-prefix").stdout.strip()

    def _told(self, completed: subprocess.CompletedProcess[str]) -> str:
        """Return what git says, with the names of files as the patch has them."""
        return completed.stderr.replace(f" {self._prefix}", " ")

    def _applied_aside(
        self, patch: Patch, *options: str, reverse: bool = False
    ) -> tuple[subprocess.CompletedProcess[str], Changes]:
        """Apply a patch to copies of its files. Return what git says, and what it changed.

        git itself is not all or nothing: it stops where a file cannot be written, or at a signal.
        """
        with tempfile.TemporaryDirectory() as folder:
            tree = Path(folder).resolve()
            copies = tree / self._prefix
            self._copy(patch, tree)
            before = _files_below(copies)
            # As in the project, the settings of its repository say how lines end.
            repository = self.git("rev-parse", "--absolute-git-dir").stdout.strip()
            place = ("-C", str(copies), f"--git-dir={repository}", f"--work-tree={tree}")
            completed = self._apply(patch, *options, reverse=reverse, place=place)
            after = _files_below(copies)
        changed = {name for name in before | after if before.get(name) != after.get(name)}
        files = {name: after[name][0] if name in after else None for name in sorted(changed)}
        modes = {
            name: after[name][1]
            for name in changed & after.keys()
            if _is_executable(after[name]) != _is_executable(before.get(name))
        }
        return completed, Changes(self.root, files, modes)

    def _copy(self, patch: Patch, tree: Path) -> None:
        """Copy the files of a patch, and the attributes that git has for them."""
        parts = Path(self._prefix).parts
        top = self.root.resolve().parents[len(parts) - 1] if parts else self.root.resolve()
        (tree / self._prefix).mkdir(parents=True, exist_ok=True)
        for name in patch.names:
            path = Path(self._prefix, name)
            attributes = [folder / ".gitattributes" for folder in path.parents]
            for one in (path, *attributes):
                if (top / one).is_file():
                    (tree / one).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(top / one, tree / one, follow_symlinks=False)

    def _apply(
        self,
        patch: Patch,
        *options: str,
        reverse: bool = False,
        place: tuple[str, ...] = (),
    ) -> subprocess.CompletedProcess[str]:
        if self._prefix:  # otherwise git ignores the patch without a word
            options = (f"--directory={self._prefix}", *options)
        if reverse:
            options = ("--reverse", *options)
        return self.git(*place, "apply", "--whitespace=nowarn", *options, text=patch.text)


def _files_below(folder: Path) -> dict[str, tuple[str, int]]:
    """Return the texts and permissions of files by their names."""
    return {
        path.relative_to(folder).as_posix(): (
            path.read_bytes().decode(errors="surrogateescape"),
            stat.S_IMODE(path.stat().st_mode),
        )
        for path in folder.rglob("*")
        if path.is_file()
    }


def _is_executable(file: tuple[str, int] | None) -> bool:
    return file is not None and bool(file[1] & stat.S_IXUSR)


def _left_alone(told: str) -> dict[str, str]:
    """Return the files that git does not create or change, each with the reason."""
    there = dict.fromkeys(_EXISTS.findall(told), "is there already")
    return there | dict.fromkeys(_MISSING.findall(told), "is missing")


def _sentences(patch: Patch, told: str, *, reverse: bool) -> Iterator[str]:
    yield from (f"{name} {reason}" for name, reason in _left_alone(told).items())
    for name, line in _FAILED.findall(told):
        hunk = patch.hunk(name, int(line), reverse=reverse).replace("\n", "\n    ")
        yield f"{name} has been edited where it would change, about line {line}:\n    {hunk}"
