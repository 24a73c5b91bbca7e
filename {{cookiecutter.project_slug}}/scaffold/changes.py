"""Changes to files, which are made all together or not at all."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from app.cli.commands import CommandError


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
        """Make the changes. If one of them fails, undo the others, and raise its error."""
        before = {name: self._read(name) for name in self.files}
        folders: list[Path] = []
        try:
            for name, new in self.files.items():
                self._write(name, new, folders)
        except BaseException as error:
            for name, old in before.items():
                self._write(name, old, folders)
            for folder in reversed(folders):
                folder.rmdir()
            if isinstance(error, OSError):
                raise CommandError(f"Nothing was changed: {error}") from None
            raise

    def _read(self, name: str) -> str | None:
        path = self.root / name
        # Not `read_text`, which would change the ends of lines.
        return path.read_bytes().decode() if path.is_file() else None

    def _write(self, name: str, text: str | None, folders: list[Path]) -> None:
        """Write or delete a file, and note the folders that are created for it."""
        path = self.root / name
        if text is None:
            path.unlink(missing_ok=True)
        elif self._read(name) != text:
            for folder in reversed(path.parents):
                if not folder.exists():
                    folder.mkdir()
                    folders.append(folder)
            path.write_bytes(text.encode())
