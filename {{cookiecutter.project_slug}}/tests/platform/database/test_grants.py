"""The service's own database role: it reads and writes rows, and owns nothing."""

import asyncio
from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from hmac import digest
from pathlib import Path
from traceback import format_exception

import pytest
from sqlalchemy import URL, Column, Engine, Enum, Integer, MetaData, Sequence, Table, text
from sqlalchemy.event import listen, remove
from sqlalchemy.exc import ProgrammingError

from app.cli.main import grant_command
from app.core.config import ConfigurationError, Settings
from app.core.database import Database
from app.core.database.grants import grant_to_service, schemas_of
from app.core.database.migrations import make_migration_engine, migrate
from app.core.database.role_limits import set_role_limits
from app.core.database.scram import scram_verifier
from app.core.database.statements import verbatim
from app.models import metadata
from app.models.user import User
from tests.postgres import temporary_database

# And the name of the database: roles belong to the server, which several runs may share.
ROLE = "Service of one test"


@pytest.fixture
def owner(template_url: URL, worker_id: str) -> Generator[URL]:
    """An empty database, and its owner."""
    with temporary_database(template_url, f"{template_url.database}_{worker_id}_grants") as url:
        yield url


@pytest.fixture
async def granted(owner: URL, settings: Settings) -> AsyncGenerator[Settings]:
    """Settings of a service whose role is another than the owner."""
    service = owner.set(username=f"{ROLE} {owner.database}", password=r"it's %s :x \ 100%")
    settings = settings.model_copy(update={"database_url": service, "database_direct_url": owner})
    yield settings
    await as_owner(
        settings, f'DROP OWNED BY "{service.username}"', f'DROP ROLE "{service.username}"'
    )


@pytest.fixture
def statements_of_owner() -> Generator[list[str]]:
    """All statements that SQLAlchemy sends, and their parameters."""
    sent: list[str] = []

    def note(*event: object) -> None:
        sent.append(f"{event[2]} {event[3]}")

    listen(Engine, "before_cursor_execute", note)
    yield sent
    remove(Engine, "before_cursor_execute", note)


async def as_owner(settings: Settings, *statements: str) -> None:
    engine = make_migration_engine(settings)
    async with engine.begin() as connection:
        for statement in statements:
            await connection.execute(verbatim(statement))
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
        await session.execute(verbatim(statement))


async def test_later_tables_need_no_other_grant(granted: Settings) -> None:
    await grant_to_service(granted)
    await as_owner(granted, "CREATE TABLE later (id serial)")

    database = Database(granted)
    await run(database, "INSERT INTO later DEFAULT VALUES")
    await database.dispose()


@pytest.mark.parametrize(
    "password",
    ["another", "scho\u0308n", "a\u00a0b\u00adc", "a\u0627"],
    ids=ascii,
)
async def test_new_password_is_set(granted: Settings, password: str) -> None:
    await grant_to_service(granted)
    changed = granted.database_url.set(password=password)
    renewed = granted.model_copy(update={"database_url": changed})
    await grant_to_service(renewed)

    database = Database(renewed)
    await run(database, "SELECT 1")
    await database.dispose()


def test_verifier_is_that_of_the_standard() -> None:
    # RFC 7677 signs with these: the server's signature of its example follows from the second key.
    salt = b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")

    keys = scram_verifier("pencil", salt).removeprefix(
        f"SCRAM-SHA-256$4096:{b64encode(salt).decode()}$"
    )
    message = (
        b"n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,"
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    )
    signature = digest(b64decode(keys.partition(":")[2]), message, "sha256")
    assert b64encode(signature) == b"6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


async def test_password_is_in_no_statement_nor_error(
    owner: URL, settings: Settings, statements_of_owner: list[str]
) -> None:
    """An owner that may not create roles, as on some managed servers."""
    superuser = settings.model_copy(update={"database_direct_url": owner})
    plain = owner.set(username=f"powerless of {owner.database}", password="secret")
    service = owner.set(username=f"{ROLE} {owner.database}", password="s3cr3t")
    settings = settings.model_copy(update={"database_url": service, "database_direct_url": plain})
    create = f"CREATE ROLE \"{plain.username}\" LOGIN PASSWORD 'secret'"
    await as_owner(superuser, create, f'CREATE ROLE "{service.username}"')
    try:
        with pytest.raises(ConfigurationError, match="may not create the role") as refused:
            await grant_to_service(settings)
        await grant_to_service(superuser.model_copy(update={"database_url": service}))
    finally:
        await as_owner(superuser, f'DROP OWNED BY "{service.username}"')
        await as_owner(superuser, *(f'DROP ROLE "{u.username}"' for u in (service, plain)))

    shown = "".join(format_exception(refused.value))
    assert "permission denied" in shown
    assert "SCRAM" not in shown
    assert any("SCRAM-SHA-256$4096:" in one for one in statements_of_owner)
    assert not [one for one in (shown, *statements_of_owner) if "s3cr3t" in one]


async def test_owner_is_not_granted_to_itself(granted: Settings) -> None:
    assert granted.database_direct_url
    for changes in (
        {"database_direct_url": None},
        {"database_url": granted.database_direct_url},
    ):
        with pytest.raises(ConfigurationError, match="not the user of DATABASE_URL"):
            await grant_to_service(granted.model_copy(update=changes))
    await grant_to_service(granted)


@pytest.mark.parametrize(
    "right",
    [
        'ALTER ROLE "{role}" CREATEDB',
        'ALTER ROLE "{role}" BYPASSRLS',
        'GRANT pg_execute_server_program TO "{role}"',
        'ALTER ROLE "{role}" NOINHERIT; GRANT pg_read_server_files TO "{role}"',
        'CREATE TABLE x (id int); ALTER TABLE x OWNER TO "{role}"',
        'CREATE SCHEMA x; ALTER SCHEMA x OWNER TO "{role}"',
    ],
)
async def test_role_that_may_do_more_is_refused(granted: Settings, right: str) -> None:
    await grant_to_service(granted)
    await as_owner(granted, *right.format(role=granted.database_url.username).split("; "))

    with pytest.raises(ConfigurationError, match="may do more than read and write rows"):
        await grant_to_service(granted)


@asynccontextmanager
async def another_owner(granted: Settings) -> AsyncGenerator[tuple[Settings, str]]:
    """Yield settings with another owner, who is no superuser, and the owner's quoted name.

    At the end, this role and that of the service are dropped.
    """
    superuser = granted.database_direct_url
    assert superuser
    owner = superuser.set(username=f"owner of {superuser.database}", password="secret")
    role = f'"{owner.username}"'
    await as_owner(
        granted,
        f"CREATE ROLE {role} LOGIN CREATEROLE PASSWORD 'secret'",
        f'GRANT CREATE ON DATABASE "{owner.database}" TO {role}',
    )
    try:
        yield granted.model_copy(update={"database_direct_url": owner}), role
    finally:
        dropped = (f'"{granted.database_url.username}"', role)
        await as_owner(granted, *(f"DROP OWNED BY {name} CASCADE" for name in dropped))
        await as_owner(granted, *(f"DROP ROLE IF EXISTS {name}" for name in dropped))


async def test_tables_of_others_are_named(granted: Settings) -> None:
    """PostgreSQL only warns if a GRANT grants nothing."""
    superuser = granted.database_direct_url
    assert superuser
    await asyncio.to_thread(migrate, superuser)
    tables = [User.metadata.tables["users"]]
    async with another_owner(granted) as (settings, role):
        await as_owner(
            granted,
            f"GRANT SELECT ON users TO {role}",
            "CREATE TABLE of_others (id int)",
            f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}",
            f"GRANT ALL ON SCHEMA public TO {role} WITH GRANT OPTION",
            f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}",
        )
        with pytest.raises(ConfigurationError, match=r"rights to tables of others: .*users \(of "):
            await grant_to_service(settings, tables=tables)
        await as_owner(granted, f"GRANT ALL ON users, alembic_version TO {role} WITH GRANT OPTION")
        await grant_to_service(settings, tables=tables)
        await as_owner(granted, f"REVOKE ALL ON of_others FROM {role}")
        with pytest.raises(ConfigurationError, match=r"rights in the schema 'public': .*of_others"):
            await grant_to_service(settings, tables=tables)
    await grant_to_service(granted, tables=tables)


async def test_schema_of_others_is_named(owner: URL, granted: Settings) -> None:
    """Its tables may be one's own."""
    orders = Table("orders", MetaData(), schema="theirs")
    async with another_owner(granted) as (settings, role):
        await as_owner(
            granted,
            "CREATE SCHEMA theirs",
            f"GRANT USAGE, CREATE ON SCHEMA theirs TO {role}",
            "CREATE TABLE theirs.orders (id int)",
            f"ALTER TABLE theirs.orders OWNER TO {role}",
        )
        expected = f"USAGE on the schema theirs, of {owner.username}. .*WITH GRANT OPTION"
        with pytest.raises(ConfigurationError, match=expected):
            await grant_to_service(settings, schemas={"theirs"}, tables=[orders])
        await as_owner(granted, f"GRANT USAGE ON SCHEMA theirs TO {role} WITH GRANT OPTION")
        await grant_to_service(settings, schemas={"theirs"}, tables=[orders])
    await grant_to_service(granted)


async def test_user_has_to_be_named(granted: Settings) -> None:
    unnamed = URL.create("postgresql", host="localhost", database="app")
    with pytest.raises(ConfigurationError, match="DATABASE_URL: names no user"):
        await grant_to_service(granted.model_copy(update={"database_url": unnamed}))
    await grant_to_service(granted)


async def test_role_may_use_each_schema_of_the_models(granted: Settings) -> None:
    schema = "Sales %s :Dept"
    state = Enum("on", "off", name="state", schema="Types")
    orders = Table(
        "orders",
        MetaData(),
        Column("id", Integer, Sequence("ids", schema="Numbers")),
        Column("state", state),
        schema=schema,
    )
    await as_owner(
        granted,
        *(f'CREATE SCHEMA "{name}"' for name in (schema, "Types", "Numbers", "Elsewhere")),
        """CREATE TYPE "Types".state AS ENUM ('on', 'off')""",
        'CREATE SEQUENCE "Numbers".ids',
        f'CREATE TABLE "{schema}".orders (id int, state "Types".state)',
        'CREATE TABLE "Elsewhere".theirs (id int)',
    )

    await grant_to_service(granted, schemas=schemas_of(orders.metadata))
    await as_owner(granted, f'CREATE TABLE "{schema}".later (id serial)')

    database = Database(granted)
    async with database.transaction() as session:
        await session.execute(orders.insert().values(state="on"))
        await session.execute(verbatim(f'INSERT INTO "{schema}".later DEFAULT VALUES'))
    for forbidden in (
        f'CREATE TABLE "{schema}".x (id int)',
        f'DROP TABLE "{schema}".orders',
        'SELECT * FROM "Elsewhere".theirs',
    ):
        with pytest.raises(ProgrammingError, match=r"must be owner|permission denied"):
            await run(database, forbidden)
    await database.dispose()


async def test_default_schema_is_that_of_the_search_path(granted: Settings) -> None:
    assert granted.database_direct_url
    await as_owner(granted, 'CREATE SCHEMA "Tenant 1"')
    options = {"options": r"-csearch_path=Missing,\"Tenant\ 1\",public"}
    tenant = granted.model_copy(
        update={
            "database_url": granted.database_url.update_query_dict(options),
            "database_direct_url": granted.database_direct_url.update_query_dict(options),
        }
    )

    await grant_to_service(tenant)
    await as_owner(tenant, "CREATE TABLE notes (id serial)")

    database = Database(tenant)
    await run(database, "INSERT INTO notes DEFAULT VALUES")
    await run(database, 'SELECT * FROM "Tenant 1".notes')
    await database.dispose()


async def test_schema_that_does_not_exist_is_named(granted: Settings) -> None:
    assert granted.database_direct_url
    with pytest.raises(ConfigurationError, match=r"'billing' .* run `app migrate` first"):
        await grant_to_service(granted, schemas={"billing"})

    owner = granted.database_direct_url.update_query_dict({"options": "-csearch_path=nowhere"})
    lost = granted.model_copy(update={"database_direct_url": owner})
    with pytest.raises(ConfigurationError, match=r"the search_path nowhere exists"):
        await grant_to_service(lost)
    await grant_to_service(granted)


async def test_command_grants_the_schemas_of_the_models(
    granted: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("database_url", "database_direct_url"):
        url = getattr(granted, name).render_as_string(hide_password=False)
        monkeypatch.setenv(name.upper(), url)
    await as_owner(granted, 'CREATE SCHEMA "Sales"', 'CREATE TABLE "Sales".orders (id int)')
    orders = Table("orders", metadata, schema="Sales")
    try:
        await asyncio.to_thread(grant_command)
    finally:
        metadata.remove(orders)

    assert capsys.readouterr().out == f"{granted.database_url.username} may read and write rows.\n"
    database = Database(granted)
    await run(database, 'DELETE FROM "Sales".orders')
    await database.dispose()


async def test_password_of_the_role_is_read_from_a_file(
    granted: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    password = """p@ss:w/ord$ '"#%&\\"""
    (tmp_path / "API_POSTGRES_PASSWORD").write_text(f"{password}\n")
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    for name in ("database_url", "database_direct_url"):
        url = getattr(granted, name).render_as_string(hide_password=False)
        monkeypatch.setenv(name.upper(), url)
    await asyncio.to_thread(grant_command)

    changed = granted.database_url.set(password=password)
    database = Database(granted.model_copy(update={"database_url": changed}))
    await run(database, "SELECT 1")
    await database.dispose()


async def test_owner_need_not_be_a_superuser(owner: URL, settings: Settings) -> None:
    """On managed servers, and with CloudNativePG, it owns the database and may create roles."""
    superuser = settings.model_copy(update={"database_direct_url": owner})
    plain = owner.set(username=f"owner of {owner.database}", password="secret")
    service = owner.set(username=f"{ROLE} {owner.database}", password="another")
    settings = settings.model_copy(update={"database_url": service, "database_direct_url": plain})
    await as_owner(
        superuser,
        f"CREATE ROLE \"{plain.username}\" LOGIN CREATEROLE PASSWORD '{plain.password}'",
        f'ALTER DATABASE "{owner.database}" OWNER TO "{plain.username}"',
    )
    try:
        await asyncio.to_thread(migrate, plain)
        for _ in range(2):  # as each deployment does
            await grant_to_service(settings)
            await set_role_limits(settings)
        database = Database(settings)
        await run(database, "SELECT 1 FROM users")
        await database.dispose()
    finally:
        await as_owner(
            superuser,
            f'ALTER DATABASE "{owner.database}" OWNER TO CURRENT_USER',
            *(
                f'{statement} "{role.username}"'
                for role in (service, plain)
                for statement in ("DROP OWNED BY", "DROP ROLE")
            ),
        )
