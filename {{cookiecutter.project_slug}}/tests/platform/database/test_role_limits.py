"""Time limits of the database role, for a database behind a pooler."""

from collections.abc import AsyncGenerator

import pytest
from sqlalchemy import text

from app.core.config import ConfigurationError, Settings
from app.core.database import Database
from app.core.database.migrations import make_migration_engine
from app.core.database.role_limits import set_role_limits
from app.core.database.statements import verbatim

LIMITS = text(
    "SELECT current_setting('statement_timeout'), current_setting('lock_timeout'),"
    " current_setting('idle_in_transaction_session_timeout')"
)


@pytest.fixture
async def pooled(settings: Settings, database_url: object) -> AsyncGenerator[Settings]:
    """Settings of a service behind a pooler; the role's limits end with the test."""
    changes = {"database_pooler": True, "database_statement_timeout": 0.1}
    yield settings.model_copy(update=changes)
    engine = make_migration_engine(settings)
    async with engine.begin() as connection:
        reset = "SELECT format('ALTER ROLE %I IN DATABASE %I RESET ALL', current_user, current_database())"
        await connection.execute(verbatim(str(await connection.scalar(text(reset)))))
    await engine.dispose()


async def test_limits_of_the_role_hold_behind_a_pooler(pooled: Settings) -> None:
    statements = await set_role_limits(pooled)
    database = Database(pooled)

    async with database.read() as session:
        read = (await session.execute(LIMITS)).one()
    async with database.transaction() as session:
        written = (await session.execute(LIMITS)).one()
    await database.dispose()

    assert tuple(read) == tuple(written) == ("100ms", "2s", "30s")
    assert [statement.split()[:2] for statement in statements] == [["ALTER", "ROLE"]] * 3


async def test_migrations_are_free_of_the_limits_of_the_role(pooled: Settings) -> None:
    await set_role_limits(pooled)
    direct = pooled.model_copy(update={"database_direct_url": pooled.database_url})

    engine = make_migration_engine(direct)
    async with engine.begin() as connection:
        seen = (await connection.execute(LIMITS)).one()
    await engine.dispose()

    assert tuple(seen) == ("0", "3s", "0")


async def test_migrations_do_not_run_through_a_pooler(pooled: Settings) -> None:
    """The SET of a revision would apply to other clients of the server connection."""
    with pytest.raises(
        ConfigurationError, match="DATABASE_DIRECT_URL: not set, but DATABASE_POOLER"
    ):
        make_migration_engine(pooled)


async def test_role_may_have_any_name(settings: Settings) -> None:
    name = f'ro le"%s:x {settings.database_url.database}'
    quoted = '"' + name.replace('"', '""') + '"'
    changes = {
        "database_url": settings.database_url.set(username=name),
        "database_direct_url": settings.database_url,
    }
    engine = make_migration_engine(settings)
    async with engine.begin() as connection:
        await connection.execute(verbatim(f"CREATE ROLE {quoted}"))
    try:
        statements = await set_role_limits(settings.model_copy(update=changes))
        async with engine.begin() as connection:
            limits = await connection.scalar(
                text(
                    "SELECT setconfig FROM pg_db_role_setting JOIN pg_roles"
                    " ON pg_roles.oid = setrole WHERE rolname = :name"
                ),
                {"name": name},
            )
        assert all(f"ALTER ROLE {quoted} IN" in statement for statement in statements)
        assert len(limits or ()) == len(statements)
    finally:
        async with engine.begin() as connection:
            await connection.execute(verbatim(f"DROP ROLE {quoted}"))
        await engine.dispose()
