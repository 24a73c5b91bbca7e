"""A streaming replica of a server of the tests, which a test may also let lag."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from faults.postgres_process import PostgresProcess, wait_until


class ReplicaProcess(PostgresProcess):
    """A hot standby with a port of its own."""

    def __init__(self, directory: Path, primary: PostgresProcess) -> None:
        self._primary = primary
        super().__init__(directory)

    def lag(self) -> None:
        """Receive what the primary writes, and do not show it."""
        self.query("SELECT pg_wal_replay_pause()")
        wait_until(
            lambda: self.query("SELECT pg_get_wal_replay_pause_state()") == ["paused"],
            "the replica pauses its replay",
        )

    def catch_up(self) -> None:
        """Show all that the primary has written by now."""
        if self.query("SELECT pg_is_wal_replay_paused()") == [True]:
            self.query("SELECT pg_wal_replay_resume()")
        (written,) = self._primary.query("SELECT pg_current_wal_lsn()::text")
        wait_until(
            lambda: self.query("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", written) == [True],
            "the replica catches up",
        )

    def _make_data(self) -> None:
        source = ["--host=127.0.0.1", f"--port={self._primary.port}", "--username=postgres"]
        options = ["--write-recovery-conf", "--checkpoint=fast", "--wal-method=stream", "--no-sync"]
        self._run("pg_basebackup", f"--pgdata={self._data}", *source, *options)


@contextmanager
def replicating(primary: PostgresProcess) -> Iterator[ReplicaProcess]:
    with tempfile.TemporaryDirectory(prefix="replica-", ignore_cleanup_errors=True) as directory:
        replica = ReplicaProcess(Path(directory), primary)
        try:
            replica.start()
            yield replica
        finally:
            replica.close()
