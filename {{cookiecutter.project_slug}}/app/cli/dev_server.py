"""`app dev`: the service with reload, and a database for it."""

import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import typer
import uvicorn
from dotenv import dotenv_values
from sqlalchemy import URL

from app.cli.commands import DEVELOPMENT_SETTINGS, CommandError
from app.core.config import DatabaseSettings, load_settings, parse_database_url

# Next to `app/`, independent of the working directory.
DIRECTORY: Final = Path(__file__).parents[2] / ".postgres"


def configured(variable: str) -> str | None:
    """Return a variable of the environment or of `.env`, as the settings read it."""
    return os.environ.get(variable) or dotenv_values(".env").get(variable)


@contextmanager
def database_url() -> Generator[URL]:
    """Yield `DATABASE_URL`, or else the URL of the embedded server, which is started if needed."""
    if configured("DATABASE_URL"):
        yield load_settings(DatabaseSettings).database_url
        return
    try:
        from app.cli.embedded_postgres import embedded_postgres
    except ImportError:
        raise CommandError(
            "DATABASE_URL is not set, and the embedded server is a development dependency: "
            "set DATABASE_URL, or install with `uv sync`"
        ) from None
    with embedded_postgres(DIRECTORY / "data") as embedded:
        yield parse_database_url(embedded)


@contextmanager
def single_instance() -> Generator[None]:
    """Hold a lock on the project. Raises `CommandError` if another `app dev` is running."""
    try:
        from fasteners import InterProcessLock
    except ImportError:
        raise CommandError(
            "`app dev` needs the development dependencies: install with `uv sync`"
        ) from None
    try:
        DIRECTORY.mkdir(exist_ok=True)
        (DIRECTORY / "lock").touch()
    except OSError as error:
        raise CommandError(f"Cannot write to {DIRECTORY} ({error.strerror})") from None
    lock = InterProcessLock(DIRECTORY / "lock")
    if not lock.acquire(blocking=False):
        lock.lockfile.close()
        raise CommandError(f"`app dev` already runs in {DIRECTORY.parent}; stop it first")
    try:
        yield
    finally:
        lock.release()


def require_free_port(host: str, port: int) -> None:
    """Raise `CommandError` if the port is in use."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CommandError(
                f"Cannot listen on {host}:{port} ({error.strerror}): stop the process that uses "
                "the port, perhaps a leftover of `app dev`, or choose another port with --port"
            ) from None


def serve(host: str, port: int, url: URL) -> None:
    """Serve the app with reload until it is interrupted."""
    os.environ["DATABASE_URL"] = url.render_as_string(hide_password=False)
    for name, value in DEVELOPMENT_SETTINGS.items():
        os.environ[name] = configured(name) or value.format(url=f"http://{host}:{port}")
    typer.echo(
        f"\n  App       http://{host}:{port}"
        f"\n  Docs      http://{host}:{port}/docs"
        f"\n  Database  {url.set(drivername='postgresql')}"
        "\n  Stop      Ctrl-C\n"
    )
    uvicorn.run(
        "app.asgi:app",
        host=host,
        port=port,
        reload=True,
        reload_dirs=[str(DIRECTORY.parent / "app")],
        proxy_headers=False,  # TRUSTED_PROXIES does that
    )
