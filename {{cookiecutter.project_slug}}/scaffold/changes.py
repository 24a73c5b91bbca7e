"""Changes to files, which are made all together or not at all."""

import difflib
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.cli.commands import CommandError

# Signals that end a process without an exception. Each platform has some of them.
_ENDING: Final = [
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
]


@dataclass(frozen=True)
class Changes:
    """The new texts of files by their names; None deletes a file."""

    root: Path
    files: Mapping[str, str | None]

    def diff(self) -> str:
        """Return the changes as `git diff` would show them."""
        return "".join(self._diffs())

    def _diffs(self) -> Iterator[str]:
        for name, new in sorted(self.files.items()):
            old = self._read(name)
            yield from difflib.unified_diff(
                [] if old is None else old.splitlines(keepends=True),
                [] if new is None else new.splitlines(keepends=True),
                "/dev/null" if old is None else f"a/{name}",
                "/dev/null" if new is None else f"b/{name}",
            )

    def apply(self) -> None:
        """Make the changes, or none of them. Raises `CommandError`."""
        with self.applied():
            pass

    @contextmanager
    def applied(self) -> Generator[None]:
        """Make the changes, and undo them if one of them or the block fails, or a signal ends the process.

        Raises `CommandError` if a file cannot be written.
        """
        before = {name: self._read(name) for name in self.files}
        folders: list[Path] = []
        with _handled(_exit, *_ENDING):
            try:
                self._write_all(folders)
                yield
            except BaseException:
                with _handled(signal.SIG_IGN, signal.SIGINT, *_ENDING):
                    self._undo(before, folders)
                raise

    def _write_all(self, folders: list[Path]) -> None:
        try:
            for name, new in self.files.items():
                self._write(name, new, folders)
        except OSError as error:
            raise CommandError(f"Nothing was changed: {error}") from None

    def _undo(self, before: Mapping[str, str | None], folders: list[Path]) -> None:
        """Restore all files. If that fails for some, restore the others, and raise `CommandError`."""
        failures = []
        for name, old in before.items():
            try:
                self._write(name, old, folders)
            except OSError as error:
                failures.append(str(error))
        for folder in reversed(folders):
            with suppress(OSError):  # something else is in it
                folder.rmdir()
        if failures:
            raise CommandError(f"Some files could not be restored: {', '.join(failures)}")

    def _read(self, name: str) -> str | None:
        path = self.root / name
        # Not `read_text`, which would change the ends of lines.
        return path.read_bytes().decode() if path.is_file() else None

    def _write(self, name: str, text: str | None, folders: list[Path]) -> None:
        """Write or delete a file, and note the folders that are created for it."""
        path = self.root / name
        if self._read(name) == text:
            return
        if text is None:
            path.unlink()
            return
        for folder in reversed(path.parents):
            if not folder.exists():
                folder.mkdir()
                folders.append(folder)
        path.write_bytes(text.encode())


def _exit(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


@contextmanager
def _handled(
    handler: Callable[[int, object], None] | signal.Handlers, *signals: int
) -> Generator[None]:
    """Handle signals by `handler` during a block, except those that are ignored, as under `nohup`."""
    if threading.current_thread() is not threading.main_thread():  # which alone may do so
        yield
        return
    before = {one: signal.getsignal(one) for one in signals}
    chosen = [one for one, old in before.items() if old not in {signal.SIG_IGN, None}]
    for one in chosen:
        signal.signal(one, handler)
    try:
        yield
    finally:
        for one in chosen:
            signal.signal(one, before[one])
