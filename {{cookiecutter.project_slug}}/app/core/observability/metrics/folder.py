"""The folder in which the processes of a service share their metrics.

Each process writes files there, and a scrape adds up those of all processes (the multiprocess mode
of prometheus-client).
"""

import multiprocessing
import os
import sys
import tempfile
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from typing import IO, Final

from app.core.env_file import ConfigurationError

VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
_PREFIX: Final = "metrics-"
_LOCK: Final = "in-use"
# In memory, and writable in a container whose file system is read-only.
_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 (the folders in it are private)


@cache
def share_metrics() -> "MetricsFolder | None":
    """Return the folder of the processes that one server has started, or None for a single process.

    Call it before prometheus-client is imported, which then reads `PROMETHEUS_MULTIPROC_DIR`. If the
    variable is set already, its folder is used, and has to be emptied before each start. Otherwise it
    is set here. On Windows each process has metrics of its own. Raises `ConfigurationError` if no
    folder is writable.
    """
    if given := os.environ.get(VARIABLE):
        try:
            Path(given).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"{VARIABLE}: {given} cannot be created ({error.strerror})"
            ) from None
        return MetricsFolder(Path(given))
    if multiprocessing.parent_process() is None or sys.platform == "win32":
        return None
    # The same in all processes that one server has started, and in no others.
    name = sha256(multiprocessing.current_process().authkey).hexdigest()[:16]
    folder = OwnedFolder(_parent() / f"{_PREFIX}{name}")
    folder.enter()
    os.environ[VARIABLE] = str(folder.path)
    return folder


def _parent() -> Path:
    if os.access(_SHARED_MEMORY, os.W_OK):
        return _SHARED_MEMORY
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        raise ConfigurationError(
            f"METRICS: several processes share their metrics in files, but {_SHARED_MEMORY} and the "
            f"temporary folders are not writable. Set {VARIABLE}, or METRICS=off"
        ) from None


class MetricsFolder:
    """A folder with the files of several processes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def ended_processes(self) -> list[int]:
        """Return the ids of processes that have left gauges behind, because they were killed."""
        ids = {int(path.stem.rpartition("_")[2]) for path in self.path.glob("gauge_live*.db")}
        return [number for number in ids if not _is_running(number)]

    def leave(self) -> None:
        """Say that this process ends."""


class OwnedFolder(MetricsFolder):
    """A folder that is removed when its last process ends, or at the next start of a service.

    Each process holds a shared lock on a file in it, so whoever gets an exclusive one is the last.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._lock: IO[bytes] | None = None

    def enter(self) -> None:
        """Create the folder or join the other processes in it, and remove abandoned ones."""
        for other in self.path.parent.glob(f"{_PREFIX}*"):
            if other != self.path:
                _remove_unused(other)
        while self._lock is None:
            self.path.mkdir(mode=0o700, exist_ok=True)
            with suppress(FileNotFoundError):  # the last process has just removed the folder
                self._lock = _hold(self.path / _LOCK)

    def leave(self) -> None:
        """Say that this process ends. The last one removes the folder."""
        if self._lock:
            self._lock.close()
            self._lock = None
            _remove_unused(self.path)


def _hold(path: Path) -> IO[bytes] | None:
    """Return a file with a shared lock, or None if it was removed meanwhile."""
    import fcntl  # not on Windows

    file = path.open("wb")
    fcntl.flock(file, fcntl.LOCK_SH)
    if os.fstat(file.fileno()).st_nlink:
        return file
    file.close()
    return None


def _remove_unused(folder: Path) -> None:
    """Remove a folder unless a process uses it, or it belongs to another user."""
    import fcntl  # not on Windows

    with suppress(OSError), (folder / _LOCK).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        rmtree(folder, ignore_errors=True)


def _is_running(number: int) -> bool:
    if sys.platform == "win32":  # where this call would end the process
        return True
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's, so the id was given to another process
        return False
    return True
