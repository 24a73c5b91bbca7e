"""The service's own database role: it reads and writes rows, and owns nothing."""

import asyncio
from collections.abc import AsyncGenerator, Generator

import pytest
from sqlalchemy import URL, text
from sqlalchemy.exc import ProgrammingError

from app.core.config import ConfigurationError, Settings
from app.core.database import Database
from app.core.database.grants import grant_to_service
from app.core.database.migrations import make_migration_engine, migrate
from app.models.user import User
from tests.postgres import temporary_database

ROLE = "Service of one test"


@pytest.fixture
def owner(template_url: URL, worker_id: str) -> Generator[URL]:
    """An empty database, and its owner."""
    with temporary_database(template_url, f"{template_url.database}_{worker_id}_grants") as url:
        yield url


@pytest.fixture
async def granted(owner: URL, worker_id: str, settings: Settings) -> AsyncGenerator[Settings]:
    """Settings of a service whose role is another than the owner."""
    service = owner.set(username=f"{ROLE} {worker_id}", password=r"it's %s :x \ 100%")
    settings = settings.model_copy(update={"database_url": service, "database_direct_url": owner})
    yield settings
    engine = make_migration_engine(settings)
    async with engine.begin() as connection:
        for statement in ("DROP OWNED BY", "DROP ROLE"):
            await connection.exec_driver_sql(f'{statement} "{service.username}"')
    await engine.dispose()


async def test_role_reads_and_writes_rows_and_nothing_else(granted: Settings) -> None:
    assert granted.database_direct_url

    await asyncio.to_thread(migrate, granted.database_direct_url)
    await grant_to_service(granted)
    await grant_to_service(granted)  # as each deployment does
    database = Database(granted)

    async with database.transaction() as session:
        session.add(User(email="ann@example.com", display_name="Ann"))
    async with database.read() as session:
        assert await session.scalar(text("SELECT count(*) FROM users")) == 1
    for forbidden in (
        "DROP TABLE users",
        "ALTER TABLE users ADD COLUMN x int",
        "TRUNCATE users",
        "CREATE TABLE x (id int)",
        "CREATE ROLE x",
        "COPY users TO '/tmp/users'",
        "SELECT pg_read_file('/etc/passwd')",
    ):
        with pytest.raises(ProgrammingError, match=r"must be owner|permission denied"):
            await run(database, forbidden)
    await database.dispose()


async def run(database: Database, statement: str) -> None:
    async with database.transaction() as session:
        await session.execute(text(statement))


async def test_later_tables_need_no_other_grant(granted: Settings) -> None:
    await grant_to_service(granted)
    engine = make_migration_engine(granted)
    async with engine.begin() as connection:
        await connection.exec_driver_sql("CREATE TABLE later (id serial)")
    await engine.dispose()

    database = Database(granted)
    await run(database, "INSERT INTO later DEFAULT VALUES")
    await database.dispose()


async def test_new_password_is_set(granted: Settings) -> None:
    await grant_to_service(granted)
    changed = granted.database_url.set(password="another")
    renewed = granted.model_copy(update={"database_url": changed})
    await grant_to_service(renewed)

    database = Database(renewed)
    await run(database, "SELECT 1")
    await database.dispose()


async def test_owner_is_not_granted_to_itself(granted: Settings) -> None:
    assert granted.database_direct_url
    for changes in (
        {"database_direct_url": None},
        {"database_url": granted.database_direct_url},
    ):
        with pytest.raises(ConfigurationError, match="not the user of DATABASE_URL"):
            await grant_to_service(granted.model_copy(update=changes))
    await grant_to_service(granted)


async def test_role_that_may_do_more_is_refused(granted: Settings) -> None:
    await grant_to_service(granted)
    engine = make_migration_engine(granted)
    async with engine.begin() as connection:
        await connection.exec_driver_sql(f'ALTER ROLE "{granted.database_url.username}" CREATEDB')
    await engine.dispose()

    with pytest.raises(ConfigurationError, match="may do more than read and write rows"):
        await grant_to_service(granted)
