"""The PostgreSQL server of a test run, and the databases on it.

`TEST_DATABASE_URL` names a server of your own, whose user may create databases. Without it
`TEST_POSTGRES` decides: `container`, `embedded`, or `auto` (the default): a container if
Docker runs, else the embedded server.
"""

import os
import shutil
import tempfile
import uuid
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten

from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.cli.commands import error_sentence
from app.core.config import DRIVERS, DatabaseSettings, parse_database_url
from app.core.database.drivers import run, server_options
from app.core.database.migrations import make_migration_engine, migrate
from app.core.database.statements import verbatim


class NoServerError(Exception):
    """No server is available. The message says why, and what to do."""


@dataclass(frozen=True)
class Server:
    url: URL
    kind: str

    def describe(self) -> str:
        """Return the line for pytest's header."""
        version = run(self.url, _fetch(self.url, "SHOW server_version"))
        return f"postgresql: {version} ({self.kind}), driver {self.url.get_driver_name()}"


@contextmanager
def postgres_server() -> Generator[Server]:
    """Start the server, and stop it at the end. Raises `NoServerError`."""
    # By default the first driver of the project.
    driver = os.environ.get("TEST_DRIVER") or DRIVERS[0]
    wanted = os.environ.get("TEST_POSTGRES") or "auto"
    if wanted not in {"auto", "container", "embedded"}:
        raise NoServerError(f"TEST_POSTGRES is {wanted!r}; use auto, container or embedded")
    if given := os.environ.get("TEST_DATABASE_URL"):
        source = _given(given)  # libpq's variables may belong to it
    elif wanted == "embedded":
        source = _embedded("as TEST_POSTGRES says")
    else:
        source = _container_or_embedded(needs_container=wanted == "container")
    with source as server:
        yield Server(server.url.set(drivername=f"postgresql+{driver}"), server.kind)


@contextmanager
def _container_or_embedded(*, needs_container: bool) -> Generator[Server]:
    """Start a container, or else an embedded server, for whatever reason there is no container."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(_container())
        except NoServerError as error:
            if needs_container:
                raise
            reason = shorten(str(error.__cause__), 200)
            server = stack.enter_context(_embedded(f"because there is no container: {reason}"))
        yield server


@contextmanager
def _given(url: str) -> Generator[Server]:
    try:
        server = parse_database_url(url)
    except ValueError as error:
        raise NoServerError(f"TEST_DATABASE_URL: {error}") from None
    if "search_path" in server_options(server):
        raise NoServerError(
            "TEST_DATABASE_URL: the tests need the schema public, not a search_path"
        )
    try:
        run(server, _fetch(server.set(database="postgres"), "SELECT 1"))
    except Exception as error:
        raise NoServerError(f"TEST_DATABASE_URL: {error_sentence(error)}") from error
    yield Server(server, "TEST_DATABASE_URL")


@contextmanager
def _container() -> Generator[Server]:
    from testcontainers.community.postgres import PostgresContainer

    from app.cli.embedded_postgres import forget_libpq_variables

    forget_libpq_variables()
    image = os.environ.get("POSTGRES_IMAGE") or "postgres:17"
    # In memory and without fsync: the server starts in half the time, and test data need not
    # survive a crash. The images of different versions use different data folders, hence PGDATA.
    options = "postgres -c fsync=off -c full_page_writes=off -c synchronous_commit=off"
    try:
        container = (
            PostgresContainer(image, driver=None)
            .with_command(options)
            .with_tmpfs_mount("/test")
            .with_env("PGDATA", "/test/data")
            .start()
        )
    except Exception as error:
        raise NoServerError(
            f"No container of {image}: {error}. Start Docker, set POSTGRES_IMAGE to an image that "
            "is available here (`docker images`), or use TEST_POSTGRES=embedded"
        ) from error
    try:
        yield Server(parse_database_url(container.get_connection_url()), f"container of {image}")
    finally:
        container.stop()


@contextmanager
def _embedded(reason: str) -> Generator[Server]:
    from app.cli.commands import CommandError
    from app.cli.embedded_postgres import data_folder, embedded_postgres

    with tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as directory:
        data = Path(directory) / "data"
        with ExitStack() as stack:
            try:
                url = stack.enter_context(embedded_postgres(data))
            except CommandError as error:
                raise NoServerError(str(error)) from None
            yield Server(parse_database_url(url), f"embedded, {reason}")
        if data_folder(data) != data:  # the path of the temporary directory does not suit
            shutil.rmtree(data_folder(data).parent, ignore_errors=True)


def docker_runs() -> bool:
    import docker

    try:
        client = docker.from_env()
    except docker.errors.DockerException:
        return False
    client.close()
    return True


@contextmanager
def migrated_template(server: Server) -> Generator[URL]:
    """Create a migrated database, as the template of each worker's database."""
    with temporary_database(server.url, f"test_{uuid.uuid4().hex[:12]}") as url:
        migrate(url)
        yield url


@contextmanager
def clone(template: URL, name: str) -> Generator[URL]:
    """Create a copy of a database, which must have no connections."""
    with temporary_database(template, name, f'TEMPLATE "{template.database}"') as url:
        yield url


@contextmanager
def temporary_database(server: URL, name: str, options: str = "") -> Generator[URL]:
    """Create a database, and drop it at the end, closing any connections to it."""
    admin = server.set(database="postgres")
    run(admin, _run(admin, f'CREATE DATABASE "{name}" {options}'))
    try:
        yield server.set(database=name)
    finally:
        run(admin, _run(admin, f'DROP DATABASE "{name}" WITH (FORCE)'))


def make_test_engine(url: URL) -> AsyncEngine:
    """Return an engine without the app's limits, whatever parameters the URL has."""
    return make_migration_engine(
        DatabaseSettings(
            _env_file=None, database_url=url, database_direct_url=None, database_pooler=False
        )
    )


def execute(url: URL, *statements: str) -> None:
    """Run statements in one transaction."""

    async def work() -> None:
        engine = make_test_engine(url)
        async with engine.begin() as connection:
            for statement in statements:
                await connection.execute(verbatim(statement))
        await engine.dispose()

    run(url, work())


async def _run(url: URL, statement: str) -> None:
    engine = make_test_engine(url)
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text(statement))
    await engine.dispose()


async def _fetch(url: URL, statement: str) -> str:
    engine = make_test_engine(url)
    async with engine.connect() as connection:
        value: str = (await connection.execute(text(statement))).scalar_one()
    await engine.dispose()
    return value
