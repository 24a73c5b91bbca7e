"""Changes to files, which are made all together or not at all."""

import difflib
import signal
import stat
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple
from uuid import uuid4

from app.cli.commands import CommandError

# Signals that end a process without an exception. Each platform has some of them.
_ENDING: Final = [
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
]


class _File(NamedTuple):
    text: str
    mode: int | None  # None for that of a new file


@dataclass(frozen=True)
class Changes:
    """The new texts of files by their names; None deletes a file.

    `modes` has the permissions of files that do not keep theirs, or are new and get others than usual.
    """

    root: Path
    files: Mapping[str, str | None]
    modes: Mapping[str, int] = field(default_factory=dict)

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
        before = {name: self._file(name) for name in self.files}
        traces: list[Path] = []
        with _handled(_exit, *_ENDING):
            try:
                self._make(before, traces)
                yield
            except BaseException:
                with _handled(signal.SIG_IGN, signal.SIGINT, *_ENDING):
                    self._undo(before, traces)
                raise

    def _make(self, before: Mapping[str, _File | None], traces: list[Path]) -> None:
        """Write all texts beside their files, then put them in their places, and delete files last.

        So a disk that is full is noticed before anything has changed.
        """
        try:
            staged = {
                name: self._staged(name, new, traces)
                for name, new in self._new(before)
                if new != before[name]
            }
            for name, written in staged.items():
                self._put(name, written)
            for name in [name for name, text in self.files.items() if text is None]:
                self._delete(name)
                with suppress(OSError):  # as git does: a folder goes with the last of its files
                    for folder in Path(name).parents[:-1]:
                        (self.root / folder).rmdir()
        except OSError as error:
            raise CommandError(f"Nothing was changed: {error}") from None

    def _new(self, before: Mapping[str, _File | None]) -> Iterator[tuple[str, _File]]:
        for name, text in self.files.items():
            if text is not None:
                old = before[name]
                yield name, _File(text, self.modes.get(name, old.mode if old else None))

    def _undo(self, before: Mapping[str, _File | None], traces: list[Path]) -> None:
        """Restore all files. If that fails for some, restore the others, and raise `CommandError`."""
        failures = []
        _clean(traces)
        # New files are deleted first, for they may fill the disk.
        for name, old in sorted(before.items(), key=lambda item: item[1] is not None):
            try:
                self._restore(name, old, traces)
            except OSError as error:
                failures.append(str(error))
                _clean(traces)
        _clean(traces)
        if failures:
            raise CommandError(f"Some files could not be restored: {', '.join(failures)}")

    def _restore(self, name: str, old: _File | None, traces: list[Path]) -> None:
        if self._file(name) == old:
            return
        if old is None:
            self._delete(name)
        else:
            self._put(name, self._staged(name, old, traces))

    def _read(self, name: str) -> str | None:
        found = self._file(name)
        return found and found.text

    def _file(self, name: str) -> _File | None:
        path = self.root / name
        if not path.is_file():
            return None
        # Not `read_text`, which would change the ends of lines. What is not UTF-8 comes back as it was.
        text = path.read_bytes().decode(errors="surrogateescape")
        return _File(text, stat.S_IMODE(path.stat().st_mode))

    def _staged(self, name: str, new: _File, traces: list[Path]) -> Path:
        """Write a file beside its place. Note it in `traces`, and the folders that are created for it.

        Nothing is written in place: if that failed half way, the file would be lost.
        """
        path = self._place(name)
        with _named(name):
            for folder in reversed(path.parents):
                if not folder.exists():
                    traces.append(folder)
                    folder.mkdir()
            traces.append(written := path.with_name(f".{path.name}.{uuid4().hex[:8]}"))
            written.write_bytes(new.text.encode(errors="surrogateescape"))
            if new.mode is not None:
                written.chmod(new.mode)
        return written

    def _put(self, name: str, written: Path) -> None:
        with _named(name):
            written.replace(self._place(name))

    def _delete(self, name: str) -> None:
        with _named(name):
            (self.root / name).unlink(missing_ok=True)

    def _place(self, name: str) -> Path:
        """Return where a file is written: behind a link, if there is one."""
        return (self.root / name).resolve()


@contextmanager
def _named(name: str) -> Generator[None]:
    """Put the name of a file into an `OSError`, which may have none, or that of a temporary file."""
    try:
        yield
    except OSError as error:
        raise OSError(f"{name}: {error.strerror or error}") from error


def _clean(traces: list[Path]) -> None:
    """Delete the files that were not put in their places, and the folders in which nothing is."""
    for path in reversed(traces):
        with suppress(OSError):
            path.rmdir() if path.is_dir() else path.unlink()


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
