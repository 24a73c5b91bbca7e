"""The rights of the database role of the service, which owns nothing.

Migrations run as the owner of the tables. The service reads and writes rows, so that a mistake in
it can neither drop a table nor read the files of the server.
"""

from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from typing import Final

from sqlalchemy import URL, MetaData, Sequence, Table, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.core.config import ConfigurationError, DatabaseSettings
from app.core.database.enum_types import enum_of
from app.core.database.migrations import make_migration_engine
from app.core.database.scram import scram_verifier
from app.core.database.statements import verbatim
from app.exceptions import explain

# Each is a query for a statement, because names cannot be parameters. The password is set on every
# run, so that the same command changes it.
_CREATE: Final = "SELECT format('CREATE ROLE %I LOGIN', CAST(:name AS text))"
_SET_VERIFIER: Final = (
    "SELECT format('ALTER ROLE %I LOGIN PASSWORD %L', CAST(:name AS text), CAST(:verifier AS text))"
)
_GRANT_CONNECT: Final = (
    "SELECT format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), CAST(:name AS text))"
)
_STATEMENTS_OF_SCHEMA: Final = tuple(
    f"SELECT format('{grant}', CAST(:schema AS text), CAST(:name AS text))"
    for grant in (
        "GRANT USAGE ON SCHEMA %I TO %I",
        *(
            grant
            for rights, kind in (
                ("SELECT, INSERT, UPDATE, DELETE", "TABLES"),
                ("USAGE", "SEQUENCES"),
            )
            for grant in (
                f"GRANT {rights} ON ALL {kind} IN SCHEMA %I TO %I",
                # For tables and sequences of later migrations.
                f"ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT {rights} ON {kind} TO %I",
            )
        ),
    )
)
_HAS_SCHEMA: Final = text("SELECT 1 FROM pg_namespace WHERE nspname = :schema")
_EXISTS: Final = text("SELECT 1 FROM pg_roles WHERE rolname = :name")
# Membership counts even without INHERIT, because a member may SET ROLE. A role may drop what it owns,
# and the owner of a schema may drop all that is in it.
_IS_POWERFUL: Final = text("""
SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls
    OR pg_has_role(service.oid, current_user, 'MEMBER')
    OR EXISTS (
        SELECT FROM pg_roles AS other WHERE pg_has_role(service.oid, other.oid, 'MEMBER') AND other.rolname IN (
            'pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program',
            'pg_read_all_data', 'pg_write_all_data', 'pg_database_owner'
        )
    )
    OR EXISTS (SELECT FROM pg_class WHERE relowner = service.oid)
    OR EXISTS (SELECT FROM pg_namespace WHERE nspowner = service.oid)
FROM pg_roles AS service WHERE rolname = :name
""")
# PostgreSQL only warns if a GRANT grants nothing.
_OWNER_WITHOUT_USAGE: Final = text("""
SELECT pg_get_userbyid(nspowner)::text FROM pg_namespace
WHERE nspname = :schema AND NOT has_schema_privilege(CAST(:name AS text), oid, 'USAGE')
""")
_NOT_GRANTED: Final = text("""
SELECT nspname || '.' || relname AS name, pg_get_userbyid(relowner)::text AS owner
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname || '.' || relname = ANY(CAST(:tables AS text[])) AND relkind IN ('r', 'p') AND NOT (
    has_table_privilege(CAST(:name AS text), pg_class.oid, 'SELECT')
    AND has_table_privilege(CAST(:name AS text), pg_class.oid, 'INSERT')
    AND has_table_privilege(CAST(:name AS text), pg_class.oid, 'UPDATE')
    AND has_table_privilege(CAST(:name AS text), pg_class.oid, 'DELETE')
)
ORDER BY name
""")


async def grant_to_service(
    settings: DatabaseSettings,
    password: str = "",
    schemas: Collection[str] = (),
    tables: Collection[Table] = (),
) -> str:
    """Create the role of `DATABASE_URL`, unless it exists, and let it read and write rows.

    Runs as the owner, the user of `DATABASE_DIRECT_URL`. `password` is the role's, by default the
    one in `DATABASE_URL`. The role may use the tables of `schemas` and of the default schema: the
    first of the owner's `search_path` that exists. `tables` that do not exist yet are skipped.
    Returns the name of the role.

    Raises `ConfigurationError` if a user or the password is missing, if owner and role are the same,
    if the role may do more than that, if the owner may not change it, if a schema does not exist, or
    if the owner may not grant the rights in a schema or to `tables`.
    """
    service, owner = settings.database_url, settings.database_direct_url
    if not service.username:
        raise ConfigurationError("DATABASE_URL: names no user, such as postgresql://api@host/name")
    if owner is None or owner.username == service.username:
        raise ConfigurationError(
            "DATABASE_DIRECT_URL: must name the owner of the tables, not the user of DATABASE_URL"
        )
    password = password or service.password or ""
    if not password:
        raise ConfigurationError(
            "API_POSTGRES_PASSWORD: not set. The password of the role that DATABASE_URL names"
        )
    # Not the password: PostgreSQL logs statements that fail.
    values = {"name": service.username, "verifier": scram_verifier(password)}
    engine = make_migration_engine(settings)
    try:
        async with engine.begin() as connection:
            exists = await connection.scalar(_EXISTS, values)
            if exists and await connection.scalar(_IS_POWERFUL, values):
                raise ConfigurationError(
                    f"DATABASE_URL: {service.username} may do more than read and write rows; "
                    "name another user"
                )
            what = f"create the role {service.username}, or not change it"
            with _refusals(owner, what):
                for query in (_SET_VERIFIER,) if exists else (_CREATE, _SET_VERIFIER):
                    await _run(connection, query, values)
            await _grant(connection, owner, values, schemas)
            await _require_granted(connection, owner, service.username, tables)
    finally:
        await engine.dispose()
    return service.username


@contextmanager
def _refusals(owner: URL, what: str) -> Generator[None]:
    """Say that the owner may not do that, without the statement: it may hold a verifier."""
    try:
        yield
    except ProgrammingError as error:
        raise ConfigurationError(
            f"DATABASE_DIRECT_URL: {owner.username} may not {what}: {explain(error.orig or error)}"
        ) from None


async def _grant(
    connection: AsyncConnection,
    owner: URL,
    values: Mapping[str, str | None],
    schemas: Collection[str],
) -> None:
    with _refusals(owner, f"let {values['name']} connect to the database"):
        await _run(connection, _GRANT_CONNECT, values)
    for schema in {await _default_schema(connection), *schemas}:
        if not await connection.scalar(_HAS_SCHEMA, {"schema": schema}):
            raise ConfigurationError(
                f"The schema {schema!r} of a model does not exist: run `app migrate` first"
            )
        with _refusals(owner, f"grant {values['name']} rights in the schema {schema!r}"):
            for query in _STATEMENTS_OF_SCHEMA:
                await _run(connection, query, {**values, "schema": schema})
        other = await connection.scalar(_OWNER_WITHOUT_USAGE, {**values, "schema": schema})
        if other:
            raise ConfigurationError(
                f"DATABASE_DIRECT_URL: {owner.username} may not grant USAGE on the schema {schema}, of "
                f"{other}. Give it that right: GRANT USAGE ON SCHEMA ... WITH GRANT OPTION"
            )


async def _require_granted(
    connection: AsyncConnection, owner: URL, name: str, tables: Collection[Table]
) -> None:
    default = await _default_schema(connection)
    names = [f"{table.schema or default}.{table.name}" for table in tables]
    values = {"name": name, "tables": [*names, f"{default}.alembic_version"]}
    missing = (await connection.execute(_NOT_GRANTED, values)).all()
    if missing:
        listed = ", ".join(f"{table} (of {role})" for table, role in missing)
        raise ConfigurationError(
            f"DATABASE_DIRECT_URL: {owner.username} may not grant {name} rights to tables of others: "
            f"{listed}. Name their owner, or give them to {owner.username}: ALTER TABLE ... OWNER TO"
        )


def schemas_of(metadata: MetaData) -> set[str]:
    """Return the schemas that tables name, and their enum types and sequences."""
    found = {table.schema for table in metadata.tables.values()}
    for table in metadata.tables.values():
        for column in table.columns:
            if enum := enum_of(column.type):
                found.add(enum.schema)
            if isinstance(column.default, Sequence):
                found.add(column.default.schema)
    return set(filter(None, found))


async def _default_schema(connection: AsyncConnection) -> str:
    """Return the schema in which migrations create tables that name none."""
    schema = await connection.scalar(text("SELECT current_schema()"))
    if schema is None:
        path = await connection.scalar(text("SELECT current_setting('search_path')"))
        raise ConfigurationError(
            f"DATABASE_DIRECT_URL: no schema of the search_path {path} exists; create one"
        )
    return str(schema)


async def _run(connection: AsyncConnection, query: str, values: Mapping[str, str | None]) -> None:
    """Run the statement that a query returns."""
    await connection.execute(verbatim(str(await connection.scalar(text(query), values))))
