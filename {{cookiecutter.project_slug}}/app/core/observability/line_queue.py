"""A bounded queue of lines, which a thread writes."""

import threading
import time
from collections.abc import Callable
from io import RawIOBase
from queue import SimpleQueue
from typing import Final

# Maximum size of the lines that wait for a slow reader, some ten thousand. Further ones are dropped.
MAX_BYTES: Final = 4 * 2**20

# Bytes that Linux writes to a pipe as a whole, although other workers write to the same one (PIPE_BUF).
_ATOMIC: Final = 4096

# Seconds for which lines are gathered. Waking the thread for each would cost as much as making the line.
_GATHERING: Final = 0.02


class LineQueue:
    """Writes lines to an unbuffered file in a thread, so that nobody waits for its reader.

    `report` returns a line that says how many were dropped.
    """

    def __init__(self, file: RawIOBase, report: Callable[[int], str]) -> None:
        self._file = file
        self._report = report
        self._lines: SimpleQueue[bytes | None] = SimpleQueue()
        # They need no lock: callers of `put`, who come one at a time, change the first two, and the thread
        # the others.
        self._accepted = 0
        self._dropped = 0
        self._done = 0
        self._reported = 0
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """How many lines were dropped."""
        return self._dropped

    def put(self, line: str) -> bool:
        """Queue a line, or drop it if too many wait. Return False if the thread has ended."""
        if not self._thread.is_alive():  # in a process that was forked
            return False
        data = _encoded(line)
        if self._accepted - self._done + len(data) > MAX_BYTES:
            self._dropped += 1
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
        block = b""
        while (line := self._lines.get()) is not None:
            if not block:
                time.sleep(_GATHERING)
            if len(block) + len(line) > _ATOMIC:
                self._write(block)
                block = b""
            block += line
            if self._lines.empty():
                self._write(block)
                block = b""
        self._write(block)

    def _write(self, block: bytes) -> None:
        self._write_all(block)
        self._done += len(block)
        if dropped := self._dropped - self._reported:
            self._reported += dropped
            self._write_all(_encoded(self._report(dropped)))

    def _write_all(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                written = self._file.write(rest)
            except OSError:  # nobody reads any more
                return
            if written is None:  # a pipe that is full, and that does not block
                time.sleep(0.01)
            else:
                rest = rest[written:]


def _encoded(line: str) -> bytes:
    return line.encode(errors="backslashreplace")
