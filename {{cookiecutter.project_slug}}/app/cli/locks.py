"""Locks on files, which the system releases however the process ends."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from app.cli.commands import CommandError


class LockedError(CommandError):
    """Another process holds a lock."""


@contextmanager
def locked(path: Path, refusal: str) -> Generator[None]:
    """Hold a lock on a file, which is created if needed.

    Raises `LockedError` with the refusal if another process holds it.
    """
    try:
        from fasteners import InterProcessLock
    except ImportError:
        raise CommandError(
            "This command needs the development dependencies: install with `uv sync`"
        ) from None
    try:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    except OSError as error:
        raise CommandError(f"Cannot write to {path.parent} ({error.strerror})") from None
    lock = InterProcessLock(path)
    if not lock.acquire(blocking=False):
        lock.lockfile.close()
        raise LockedError(refusal)
    try:
        yield
    finally:
        lock.release()
