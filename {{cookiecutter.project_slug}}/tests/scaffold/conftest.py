import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.core.env_file import PROJECT
from scaffold import commands


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what `new` and `remove` read of the project. They change that instead."""
    for name in ("app/models", "app/routes", "alembic"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PROJECT / name, tmp_path / name, ignore=ignored)
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    monkeypatch.setattr(commands, "PROJECT", tmp_path)
    monkeypatch.setattr("app.cli.dev_server.DIRECTORY", tmp_path / ".postgres")
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setattr("sys.path", [*sys.path])  # Alembic prepends the folder
    return tmp_path


@pytest.fixture
def new(checkout: Path) -> Callable[..., list[str]]:
    """Write a resource into the copy, and return what the command prints."""

    def write(name: str, *fields: str, plural: str = "", dry_run: bool = False) -> list[str]:
        return list(commands.new(name, fields, plural=plural, dry_run=dry_run))

    return write


@pytest.fixture
def remove(checkout: Path) -> Callable[..., list[str]]:
    """Remove a resource from the copy, and return what the command prints."""

    def take_out(name: str, *, dry_run: bool = False) -> list[str]:
        def confirm(_question: str) -> None: ...

        return list(commands.remove(name, drop_table=False, dry_run=dry_run, confirm=confirm))

    return take_out


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the contents of all files by their names."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not {".git", "__pycache__"} & {*path.parts}
    }
