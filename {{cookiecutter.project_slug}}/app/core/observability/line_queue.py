"""A bounded queue of lines, which a thread writes."""

import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from io import RawIOBase
from queue import SimpleQueue
from typing import Final

# Maximum size of the lines that wait for a slow reader, some ten thousand. Further ones are dropped.
MAX_BYTES: Final = 4 * 2**20

# Bytes that Linux writes to a pipe atomically, even if others write to the same one (PIPE_BUF).
_ATOMIC: Final = 4096

# Seconds for which lines are gathered. Waking the thread for each would cost as much as making the line.
_GATHERING: Final = 0.02


class LineQueue:
    """Writes lines to an unbuffered file in a thread, so that nobody waits for its reader.

    Lines of several processes that write to the same file this way do not mix. `report` returns a line
    that says how many were dropped: too many waited, or writing failed.
    """

    def __init__(self, file: RawIOBase, report: Callable[[int], str]) -> None:
        self._file = file
        self._report = report
        self._lines: SimpleQueue[bytes | None] = SimpleQueue()
        # They need no lock: callers of `put`, who come one at a time, change the first two, and the thread
        # the others.
        self._accepted = 0
        self._refused = 0
        self._done = 0
        self._failed = 0
        self._reported = 0
        self._is_torn = False  # whether what was written ends within a line
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """How many lines were dropped."""
        return self._refused + self._failed

    def put(self, line: str) -> bool:
        """Queue a line, or drop it if too many wait. Return False if the thread has ended."""
        if not self._thread.is_alive():  # in a process that was forked
            return False
        data = _encoded(line)
        if self._accepted - self._done + len(data) > MAX_BYTES:
            self._refused += 1
        else:
            self._accepted += len(data)
            self._lines.put(data)
        return True

    def stop(self, seconds: float) -> bool:
        """Write what is queued, and return whether that took no longer than `seconds`."""
        self._lines.put(None)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        block: list[bytes] = []
        size = 0
        while (line := self._lines.get()) is not None:
            if not block:
                time.sleep(_GATHERING)
            if size + len(line) > _ATOMIC:
                self._write(block)
                block, size = [], 0
            block.append(line)
            size += len(line)
            if self._lines.empty():
                self._write(block)
                block, size = [], 0
        self._write(block)

    def _write(self, lines: list[bytes]) -> None:
        failed = self._write_lines(lines)
        self._failed += failed
        self._done += sum(map(len, lines))
        if failed:
            return
        unreported = self.dropped - self._reported
        if unreported and not self._write_lines([_encoded(self._report(unreported))]):
            self._reported += unreported

    def _write_lines(self, lines: list[bytes]) -> int:
        """Write lines, and return how many of them were not written as a whole."""
        data = b"".join(lines)
        if self._is_torn:  # the next line is whole again
            data = b"\n" + data
        with _locked(self._file):
            written = self._write_bytes(data)
        if written:
            self._is_torn = not data[:written].endswith(b"\n")
        missing = len(data) - written
        failed = 0
        while missing > 0 and failed < len(lines):
            failed += 1
            missing -= len(lines[-failed])
        return failed

    def _write_bytes(self, data: bytes) -> int:
        """Write until it fails, and return how many bytes were written."""
        done = 0
        while done < len(data):
            try:
                written = self._file.write(memoryview(data)[done:])
            except OSError:  # nobody reads any more, or a disk is full
                break
            if written is None:  # a pipe that is full, and that does not block
                time.sleep(0.01)
            else:
                done += written
        return done


@contextmanager
def _locked(file: RawIOBase) -> Generator[None]:
    """Keep other processes that lock the file, too, from writing to it during a block.

    The lock belongs to the process, unlike that of `flock`, which workers that inherit the file share.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl  # not on Windows

    try:
        fcntl.lockf(file, fcntl.LOCK_EX)
    except OSError:  # Linux locks pipes, other systems may not
        yield
        return
    try:
        yield
    finally:
        fcntl.lockf(file, fcntl.LOCK_UN)


def _encoded(line: str) -> bytes:
    return line.encode(errors="backslashreplace")
