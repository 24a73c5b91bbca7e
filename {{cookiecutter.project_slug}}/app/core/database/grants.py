"""The rights of the database role of the service, which owns nothing.

Migrations run as the owner of the tables. The service reads and writes rows, so that a mistake in
it can neither drop a table nor read the files of the server.
"""

from typing import Final

from sqlalchemy import text

from app.core.config import ConfigurationError, DatabaseSettings
from app.core.database.migrations import make_migration_engine

# Each is a query for a statement, because names cannot be parameters. The password is set on every
# run, so that the same command changes it.
_CREATE: Final = "SELECT format('CREATE ROLE %I LOGIN', CAST(:name AS text))"
_STATEMENTS: Final = (
    "SELECT format('ALTER ROLE %I LOGIN PASSWORD %L', CAST(:name AS text), CAST(:password AS text))",
    "SELECT format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), CAST(:name AS text))",
    "SELECT format('GRANT USAGE ON SCHEMA public TO %I', CAST(:name AS text))",
    *(
        f"SELECT format('{grant}', CAST(:name AS text))"
        for rights, kind in (("SELECT, INSERT, UPDATE, DELETE", "TABLES"), ("USAGE", "SEQUENCES"))
        for grant in (
            f"GRANT {rights} ON ALL {kind} IN SCHEMA public TO %I",
            # For tables and sequences of later migrations.
            f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT {rights} ON {kind} TO %I",
        )
    ),
)
_EXISTS: Final = text("SELECT 1 FROM pg_roles WHERE rolname = :name")
_IS_POWERFUL: Final = text(
    "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR pg_has_role(rolname, current_user, 'USAGE')"
    " FROM pg_roles WHERE rolname = :name"
)


async def grant_to_service(settings: DatabaseSettings, password: str = "") -> str:
    """Create the role of `DATABASE_URL`, unless it exists, and let it read and write rows.

    Runs as the owner, the user of `DATABASE_DIRECT_URL`. `password` is the role's, by default that
    in `DATABASE_URL`. Returns the name of the role. Raises `ConfigurationError` if there is no
    password, if the two are the same, or if the role may do more than that.
    """
    service, owner = settings.database_url, settings.database_direct_url
    if owner is None or owner.username == service.username:
        raise ConfigurationError(
            "DATABASE_DIRECT_URL: must name the owner of the tables, not the user of DATABASE_URL"
        )
    values = {"name": service.username, "password": password or service.password}
    if not values["password"]:
        raise ConfigurationError(
            "API_POSTGRES_PASSWORD: not set. The password of the role that DATABASE_URL names"
        )
    engine = make_migration_engine(settings)
    try:
        async with engine.begin() as connection:
            exists = await connection.scalar(_EXISTS, values)
            if exists and await connection.scalar(_IS_POWERFUL, values):
                raise ConfigurationError(
                    f"DATABASE_URL: {service.username} may do more than read and write rows; "
                    "name another user"
                )
            for query in _STATEMENTS if exists else (_CREATE, *_STATEMENTS):
                statement = await connection.scalar(text(query), values)
                # Escaped, because a colon would begin a parameter. Drivers differ on percent signs.
                await connection.execute(text(str(statement).replace(":", r"\:")))
    finally:
        await engine.dispose()
    return str(service.username)
