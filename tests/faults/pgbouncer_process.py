"""PgBouncer in transaction mode before a server of the tests."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from faults.postgres_process import (
    PATIENCE,
    PostgresProcess,
    free_port,
    prepare_stand_in,
    wait_until,
)

CONFIGURATION = """
[databases]
* = host=127.0.0.1 port={server_port}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {directory}/users
admin_users = postgres
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 300
log_connections = 0
log_disconnections = 0
{options}
"""


class PgBouncerProcess:
    """A pooler with a TCP port of its own, which keeps few connections to each database."""

    def __init__(
        self, directory: Path, server: PostgresProcess, pool_size: int, options: str, password: str
    ) -> None:
        self.port = free_port()
        self._directory = directory
        self._user = prepare_stand_in(directory)
        self._process: subprocess.Popen[bytes] | None = None
        (directory / "users").write_text(f'"app" "{password}"\n"postgres" ""\n')
        (directory / "configuration").write_text(
            CONFIGURATION.format(
                server_port=server.port,
                port=self.port,
                directory=directory,
                pool_size=pool_size,
                options=options,
            )
        )

    def url(self, database: str, user: str = "app") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        program = find_pgbouncer()
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [program, self._directory / "configuration"],
                stdout=log,
                stderr=subprocess.STDOUT,
                user=self._user,
            )
        wait_until(self._responds, "PgBouncer starts")

    def stop(self) -> None:
        """Stop at once: clients lose their connections. SIGTERM waits for them from 1.23 on."""
        assert self._process
        self._process.kill()
        self._process.wait(PATIENCE)

    def restart(self) -> None:
        self.stop()
        self.start()

    def pause(self) -> None:
        """Stop it in its tracks: connections stay open and nobody responds."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        if self._process and self._process.poll() is None:
            self.stop()

    def show(self, what: str) -> list[dict[str, Any]]:
        """Ask the pooler about itself, by its SHOW command."""
        with psycopg.connect(
            self.url("pgbouncer", "postgres"), autocommit=True, row_factory=psycopg.rows.dict_row
        ) as connection:
            cursor = psycopg.ClientCursor(connection)
            return cursor.execute(f"SHOW {what}".encode()).fetchall()

    def reconnect(self) -> None:
        """Have each server connection replaced when its transaction is over."""
        with psycopg.connect(self.url("pgbouncer", "postgres"), autocommit=True) as connection:
            psycopg.ClientCursor(connection).execute(b"RECONNECT")

    def _responds(self) -> bool:
        assert self._process
        assert self._process.poll() is None, (self._directory / "log").read_text()
        with suppress(psycopg.OperationalError):
            self.show("VERSION")
            return True
        return False


def find_pgbouncer() -> str:
    """Return the program. Where containers are demanded, as CI does, it is demanded as well."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
    if program is None:
        reason = "pgbouncer is not installed (Debian's package pgbouncer)"
        if os.environ.get("TEST_POSTGRES") == "container":
            pytest.fail(reason)
        pytest.skip(reason)
    return program


def keeps_statements() -> bool:
    """Say whether this PgBouncer can keep prepared statements, as it can from 1.21 on."""
    printed = subprocess.run(
        [find_pgbouncer(), "--version"], capture_output=True, text=True, check=True
    ).stdout
    _, version, *_ = printed.split()
    major, minor, *_ = version.split(".")
    return (int(major), int(minor)) >= (1, 21)


@contextmanager
def pooling(
    server: PostgresProcess,
    pool_size: int = 2,
    options: str = "",
    password: str = "",
    *,
    statements: int = 0,
) -> Iterator[PgBouncerProcess]:
    """Run a pooler that lets anyone in, and itself into the server by the role's password.

    It keeps up to `statements` prepared statements, if its version can.
    """
    if keeps_statements():
        options += f"\nmax_prepared_statements = {statements}"
    with tempfile.TemporaryDirectory(prefix="pooler-", ignore_cleanup_errors=True) as directory:
        pooler = PgBouncerProcess(Path(directory), server, pool_size, options, password)
        try:
            pooler.start()
            yield pooler
        finally:
            pooler.close()
