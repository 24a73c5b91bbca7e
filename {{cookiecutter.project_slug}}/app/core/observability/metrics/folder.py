"""The folder in which the processes of a service share their metrics.

Each process writes files there, and a scrape adds up those of all processes (the multiprocess mode
of prometheus-client).
"""

import logging
import multiprocessing
import os
import sys
import tempfile
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from shutil import disk_usage, rmtree
from typing import IO, Final

from app.core.env_file import ConfigurationError

_logger: Final = logging.getLogger(__name__)

VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
_PREFIX: Final = "metrics-"
_LOCK: Final = "in-use"
_PORT: Final = "port-of-metrics-"
# In memory, and writable in a container whose file system is read-only.
_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 (the folders in it are private)

# Bytes that must be free before a process writes there (see docs/decisions/0012 for what one takes). Running
# out raises no error: the files are memory-mapped, so the system kills the process (SIGBUS).
MIN_FREE: Final = 4 * 2**20


class NoRoomError(Exception):
    """There is too little space for the files of a process."""


@cache
def share_metrics() -> "MetricsFolder | None":
    """Return the folder of the processes that one server has started, or None for a single process.

    Call it before prometheus-client is imported, which then reads `PROMETHEUS_MULTIPROC_DIR`. If the
    variable is already set, its folder is used, which has to be emptied before each start of the
    service. Otherwise it is set here. On Windows each process has metrics of its own. Raises
    `ConfigurationError` if no folder is writable, and `NoRoomError`.
    """
    if given := os.environ.get(VARIABLE):
        try:
            Path(given).mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=given).close()
        except OSError as error:
            raise ConfigurationError(
                f"{VARIABLE}: {given} is not writable ({error.strerror})"
            ) from None
        folder = MetricsFolder(Path(given))
        folder.require_room()
        return folder
    if multiprocessing.parent_process() is None or sys.platform == "win32":
        return None
    # The same in all processes that one server has started, and in no others.
    name = sha256(multiprocessing.current_process().authkey).hexdigest()[:16]
    owned = OwnedFolder(_parent() / f"{_PREFIX}{name}")
    owned.enter()
    os.environ[VARIABLE] = str(owned.path)
    return owned


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
        ids = {_process_of(path) for path in self.path.glob("gauge_live*.db")}
        return [number for number in ids if not _is_running(number)]

    def require_room(self) -> None:
        """Raise `NoRoomError` if less than `MIN_FREE` is free."""
        if not self._has_room():
            raise NoRoomError(
                f"METRICS: this process has none, because less than {MIN_FREE // 2**20} MiB are free for "
                f"{self.path}. Enlarge /dev/shm (shm_size in Compose), or set {VARIABLE}"
            )

    def _has_room(self) -> bool:
        usage = disk_usage(self.path)
        # An in-memory file system without a limit reports a size of 0.
        return usage.free >= MIN_FREE or not usage.total

    def claim_port(self, port: int) -> None:
        """Claim a port for the processes of this service, if there is a place to record the claim."""

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
        """Create the folder or join the other processes in it, and remove abandoned ones.

        If space is short, the counts of ended processes are removed as well. Raises `NoRoomError`.
        """
        for other in self.path.parent.glob(f"{_PREFIX}*"):
            if other != self.path:
                _remove_unused(other)
        _remove_unused_ports(self.path.parent)
        while self._lock is None:
            self.path.mkdir(mode=0o700, exist_ok=True)
            with suppress(FileNotFoundError):  # the last process has just removed the folder
                self._lock = _hold(self.path / _LOCK)
        try:
            self.require_room()
        except NoRoomError:
            self.leave()
            raise

    def require_room(self) -> None:
        """Make room, or raise `NoRoomError`."""
        if not self._has_room():
            _logger.warning(
                "Metrics: the counts of ended processes are removed, because space is short"
            )
            for path in self.path.glob("*.db"):
                if not _is_running(_process_of(path)):
                    path.unlink(missing_ok=True)
        super().require_room()

    def claim_port(self, port: int) -> None:
        """Claim a port. Raises `ConfigurationError` if it is another service's of the same user.

        The system does not refuse it: all processes of a user may share a port.
        """
        link = self.path.parent / f"{_PORT}{port}-{os.getuid()}"
        if not link.exists():  # also if the folder that it names was removed
            mine = self.path / f"port-{os.getpid()}"
            mine.symlink_to(self.path.name)
            mine.replace(link)
        if link.readlink().name != self.path.name:
            raise ConfigurationError(f"METRICS: port {port} is that of another service")

    def leave(self) -> None:
        """Say that this process ends. The last one removes the folder."""
        if self._lock:
            self._lock.close()
            self._lock = None
            _remove_unused(self.path)
            _remove_unused_ports(self.path.parent)


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


def _remove_unused_ports(parent: Path) -> None:
    """Remove the claims of services that have ended."""
    for link in parent.glob(f"{_PORT}*-{os.getuid()}"):
        if not link.exists():
            link.unlink(missing_ok=True)


def _process_of(path: Path) -> int:
    """Return the id of the process that has written a file."""
    return int(path.stem.rpartition("_")[2])


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
