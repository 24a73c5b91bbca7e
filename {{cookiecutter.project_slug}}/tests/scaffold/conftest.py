import errno
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
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


@dataclass
class Disk:
    """A disk with little room, that refuses to replace a file, or on which the process gets signals."""

    room: int = sys.maxsize
    refused: str = ""
    signals: dict[int, signal.Signals] = field(default_factory=dict)  # by their step
    steps: int = 0  # files that were put in their place, or deleted

    def step(self, path: Path) -> None:
        self.steps += 1
        if number := self.signals.get(self.steps):
            signal.raise_signal(number)
        self.room += path.stat().st_size if path.is_file() else 0


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    write, replace, unlink = Path.write_bytes, Path.replace, Path.unlink

    def write_bytes(path: Path, content: bytes) -> int:
        if len(content) > disk.room:
            write(path, b"")  # the file is there by then, and its old content is lost
            raise OSError(errno.ENOSPC, "No space left on device")
        disk.room -= len(content)
        return write(path, content)

    def replace_file(path: Path, target: Path) -> Path:
        disk.step(target)
        if disk.refused and target.as_posix().endswith(disk.refused):
            raise PermissionError(errno.EPERM, "Operation not permitted", str(path))
        return replace(path, target)

    def unlink_file(path: Path, *, missing_ok: bool = False) -> None:
        if path.exists():
            disk.step(path)
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    monkeypatch.setattr(Path, "replace", replace_file)
    monkeypatch.setattr(Path, "unlink", unlink_file)
    return disk


@pytest.fixture(params=["SIGTERM", "SIGHUP", "SIGINT"])
def ending(request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
    """A signal that ends a process by an exception."""
    if sys.platform == "win32":
        pytest.skip("Windows has no such signals")
    number = signal.Signals[request.param]
    before = signal.getsignal(number)
    if number == signal.SIGINT:  # which shells have programs in the background ignore
        signal.signal(number, signal.default_int_handler)
    yield number
    signal.signal(number, before)


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the contents of all files by their names."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not {".git", ".postgres", "__pycache__"} & {*path.parts}
    }
