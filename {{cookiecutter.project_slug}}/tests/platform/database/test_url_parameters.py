"""What a database URL says takes effect, or is refused at the start."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.config import (
    ConfigurationError,
    DatabaseSettings,
    Settings,
    load_settings,
    parse_database_url,
)
from app.core.database.drivers import driver_for, server_options
from app.core.database.engines import make_engine, make_reader, make_writer
from app.core.database.migrations import make_migration_engine
from app.exceptions import UnavailableError, explain
from tests.postgres import NoServerError, make_test_engine, postgres_server

# The parameters of libpq, each with a value that needs no server of a special kind.
HARMLESS = {
    "application_name": "billing",
    "fallback_application_name": "billing",
    "connect_timeout": "7",
    "options": "-c search_path=tenant",
    "sslmode": "prefer",
    "ssl_min_protocol_version": "TLSv1.2",
    "target_session_attrs": "read-write",
    "channel_binding": "prefer",
    "gssencmode": "disable",
    "client_encoding": "utf8",
    "replication": "false",
    "load_balance_hosts": "disable",
    "krbsrvname": "postgres",
    "sslcompression": "0",
}


def with_query(url: URL, **query: str) -> URL:
    return parse_database_url(url.update_query_dict(query))


async def fetch(engine: AsyncEngine, statement: str) -> Any:
    async with engine.connect() as connection:
        value = await connection.scalar(text(statement))
    await engine.dispose()
    return value


@pytest.mark.parametrize("name", HARMLESS)
async def test_parameter_of_libpq_works(settings: Settings, name: str) -> None:
    url = with_query(settings.database_url, **{name: HARMLESS[name]})

    assert await fetch(make_engine(url, settings), "SELECT 1") == 1


async def test_reader_connects_to_a_server_that_accepts_writes(settings: Settings) -> None:
    url = with_query(settings.database_url, target_session_attrs="read-write")

    assert await fetch(make_reader(url, settings, trusted_seconds=0), "SELECT 1") == 1
    assert await fetch(make_engine(url, settings), "SELECT 1") == 1


async def test_service_of_libpq_is_used(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = settings.database_url
    services = tmp_path / "services.conf"
    host = url.host or url.query["host"]
    lines = [f"host={host}", f"port={url.port or 5432}", f"user={url.username}", "dbname=postgres"]
    services.write_text("\n".join(["[shop]", *lines, f"password={url.password or 'unused'}", ""]))
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    named = parse_database_url(f"{url.drivername}:///?service=shop")

    assert await fetch(make_engine(named, settings), "SELECT current_database()") == "postgres"


@pytest.mark.parametrize(
    ("hosts", "host", "port"),
    [
        ("a,b", "a,b", "5432,5432"),
        ("a:1,b:2", "a,b", "1,2"),
        ("[::1]:1,[fe80::2],b:2", "::1,fe80::2,b", "1,5432,2"),
    ],
)
def test_several_hosts_are_written_as_parameters(
    settings: Settings, hosts: str, host: str, port: str
) -> None:
    url = parse_database_url(f"{settings.database_url.drivername}://app@{hosts}/app")

    assert url.query == {"host": host, "port": port}


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("//db/app?sslmode=verify_full", "`sslmode` is 'verify_full', not disable or allow"),
        ("//db/app?target_session_attrs=master", "not any or read-write"),
        ("//db/app?ssl_min_protocol_version=TLSv9", "not TLSv1 or"),
        ("//db/app?keepalives_idle=often", "not a whole number"),
        ("//db/app?port=abc", "abc"),
        ("//db:99999/app", "the port 99999 is not between 1 and 65535"),
        ("//a:1,b:99999/app", "the port 99999 is not between 1 and 65535"),
        ("//a:x,b:2/app", "x"),
    ],
)
def test_value_that_cannot_be_is_refused_at_the_start(
    settings: Settings, url: str, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=r"DATABASE_URL: ") as refused:
        load_settings(DatabaseSettings, database_url=f"{settings.database_url.drivername}:{url}")

    assert said in str(refused.value)


@pytest.mark.parametrize(
    "variable", ["database_url", "database_replica_url", "database_direct_url"]
)
@pytest.mark.parametrize(
    "query", ["no_such=1", "options=-x", "connect_timeout=soon", "sslmode=allow&sslmode=prefer"]
)
def test_other_parameter_is_refused_at_the_start(
    settings: Settings, variable: str, query: str
) -> None:
    url = settings.database_url.drivername + "://app:secret@db/app?" + query
    given = {"database_url": settings.database_url, variable: url}

    with pytest.raises(ConfigurationError) as refused:
        load_settings(DatabaseSettings, **given)

    assert f"{variable.upper()}: " in str(refused.value)
    assert f"the parameter `{query.partition('=')[0]}" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_other_parameter_of_the_tests_url_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TEST_DATABASE_URL", "postgresql://db/app?no_such=1")

    with pytest.raises(NoServerError, match=r"TEST_DATABASE_URL: .*no_such"), postgres_server():
        pass


ENGINES: Final[dict[str, Callable[[Settings], AsyncEngine]]] = {
    "writer": make_writer,
    "reader": lambda settings: make_reader(settings.database_url, settings, trusted_seconds=0),
    "migrations": make_migration_engine,
    "tests": lambda settings: make_test_engine(settings.database_url),
}


@pytest.mark.parametrize("kind", ENGINES)
async def test_options_of_the_url_are_merged_with_the_limits(settings: Settings, kind: str) -> None:
    url = with_query(
        settings.database_url,
        options=r'-csearch_path="tenant\ one",public --work-mem=5MB -c lock_timeout=1234',
        application_name="billing",
    )
    changed = settings.model_copy(update={"database_url": url})
    shown = await fetch(
        ENGINES[kind](changed),
        "SELECT string_agg(setting, '|' ORDER BY name) FROM pg_settings WHERE name IN ('search_path',"
        " 'work_mem', 'lock_timeout', 'statement_timeout', 'application_name')",
    )

    migrates = kind in {"migrations", "tests"}
    assert shown.split("|") == [
        "billing",
        "3000" if migrates else "1234",
        '"tenant one",public',
        "0" if migrates else "4000",
        "5120",
    ]


async def test_reader_stays_read_only(settings: Settings) -> None:
    url = with_query(settings.database_url, options="-c default_transaction_read_only=off")
    reader = make_reader(url, settings, trusted_seconds=0)

    assert await fetch(reader, "SHOW default_transaction_read_only") == "on"


async def test_what_the_direct_url_says_wins_over_the_limits_of_migrations(
    settings: Settings,
) -> None:
    url = with_query(settings.database_url, options="-c lock_timeout=1234")
    changed = settings.model_copy(update={"database_direct_url": url})

    assert await fetch(make_migration_engine(changed), "SHOW lock_timeout") == "1234ms"


def test_options_are_split_as_postgresql_does(settings: Settings) -> None:
    assert server_options(with_query(settings.database_url, options="-c a=1 -cb=2 --c-d=3")) == {
        "a": "1",
        "b": "2",
        "c_d": "3",
    }


async def test_every_one_of_several_hosts_is_tried(settings: Settings) -> None:
    driver = settings.database_url.drivername
    url = parse_database_url(f"{driver}://app:secret@127.0.0.1:9,127.0.0.1:10/app")

    assert url.query == {"host": "127.0.0.1,127.0.0.1", "port": "9,10"}
    with pytest.raises(UnavailableError) as error:
        await fetch(make_engine(url, settings), "SELECT 1")
    assert "10" in explain(error.value)  # some drivers report the last one only


async def test_password_file_is_read(settings: Settings, tmp_path: Path) -> None:
    url = settings.database_url
    passwords = tmp_path / "passwords"
    passwords.write_text(f"*:*:*:*:{url.password or 'unused'}\n")
    passwords.chmod(0o600)
    url = with_query(url.set(password=None), passfile=str(passwords))

    assert await fetch(make_engine(url, settings), "SELECT 1") == 1


def test_connect_timeout_of_the_url_wins(settings: Settings) -> None:
    url = with_query(settings.database_url, connect_timeout="7")
    arguments = driver_for(url).connect_args(url, settings, {})

    assert str(arguments.get("timeout", arguments.get("connect_timeout"))) == "7"
