"""`app doctor`, on a sound environment, and with one thing broken at a time."""

import asyncio
import re
import socket
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from sqlalchemy import URL
from typer.testing import Result

from app.cli.commands import with_database
from app.cli.doctor import database as checks
from app.cli.doctor.findings import Check, Examined, Finding
from app.core.database.drivers import driver_for
from app.core.database.migrations import revisions
from app.exceptions import UnavailableError
from tests.caller_variables import REQUIRED
from tests.cli.test_jobs import queue_two_of_which_one_is_dead
from tests.cli.test_main import run
from tests.postgres import clone, execute

SECRET = "not-to-be-shown"
CHECKS = {"settings", "database", "schema", "connections", "pooler", "clock", "jobs", "weak"}


@dataclass(frozen=True)
class Environment:
    """A database of its own, and the two users that the settings name."""

    owner: URL
    service: URL


@pytest.fixture
def sound(
    template_url: URL, worker_id: str, monkeypatch: pytest.MonkeyPatch
) -> Generator[Environment]:
    """An environment without warnings: the service connects as a user who owns nothing."""
    with clone(template_url, f"{template_url.database}_{worker_id}_doctor") as owner:
        service = owner.set(username=f"doctor_of_{owner.database}", password=SECRET)
        for name, value in {
            "DATABASE_URL": service.render_as_string(hide_password=False),
            "DATABASE_DIRECT_URL": owner.render_as_string(hide_password=False),
            "ALLOWED_HOSTS": "api.example.com",
            **REQUIRED,
        }.items():
            monkeypatch.setenv(name, value)
        run("grant")
        yield Environment(owner, service)
        monkeypatch.undo()
        execute(owner, f"DROP OWNED BY {service.username}", f"DROP ROLE {service.username}")


def doctor(*arguments: str) -> Result:
    """Run the command. Each line says what to do, unless all is well."""
    result = run("doctor", *arguments)
    without = [line for line in result.stdout.splitlines() if ". To do: " not in line]
    assert [line for line in without if not line.startswith("ok ")] == []
    assert not any(
        line.startswith("ok ") and "To do" in line for line in result.stdout.splitlines()
    )
    return result


def lines_of(result: Result) -> list[tuple[str, str, str]]:
    """Return the level, the check and the text of each line."""
    found = []
    for line in result.stdout.splitlines():
        level, name, rest = line.split(maxsplit=2)
        found.append((level, name, rest))
    return found


@pytest.mark.usefixtures("sound")
def test_sound_environment_has_no_warnings() -> None:
    result = doctor("--strict")

    lines = lines_of(result)
    assert {level for level, _, _ in lines} == {"ok"}, result.stdout
    assert {name for _, name, _ in lines} >= CHECKS
    assert result.exit_code == 0
    assert SECRET not in result.output


@dataclass(frozen=True)
class Case:
    """What is broken, and the line that says so."""

    line: str  # a regular expression
    variables: dict[str, str] = field(default_factory=dict)
    statements: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.line


ERRORS = [
    Case("settings +DATABASE_POOL_SIZE: ", {"DATABASE_POOL_SIZE": "many"}),
    Case("settings +DATABASE_URL: not set", {"DATABASE_URL": ""}),
    Case("settings +ENV_FILE names a file", {"ENV_FILE": "/no/such/file"}),
    Case(
        "settings +WORKER_DATABASE_URL: not set",
        {"DATABASE_POOLER": "true", "WORKER_IN_SERVICE": "true"},
    ),
    Case(
        r"database +DATABASE_URL: .*:\*\*\*@127.0.0.1:1/app: The database cannot be reached, ",
        {"DATABASE_URL": f"postgresql://api:{SECRET}@127.0.0.1:1/app"},
    ),
    Case(
        "database +DATABASE_DIRECT_URL: .* cannot be reached, .* To do: ",
        {"DATABASE_DIRECT_URL": f"postgresql://app:{SECRET}@127.0.0.1:1/app"},
    ),
    Case(
        f"schema +not at head: .* {revisions()[0]}, .* needs {revisions()[-1]}.*`app migrate`",
        statements=("UPDATE alembic_version SET version_num = '{oldest}'",),
    ),
    Case(
        "schema +not at head: no migration has run; the code needs ",
        statements=("DELETE FROM alembic_version",),
    ),
    Case(
        "schema +not at head: the database role may not use it. To do: run `app grant`",
        statements=("REVOKE ALL ON SCHEMA public FROM PUBLIC, {service}",),
    ),
    Case(
        "schema +not at head: the database role may not use it. To do: run `app grant`",
        statements=(
            "CREATE SCHEMA \"Its, 'own'\"",
            "ALTER TABLE alembic_version SET SCHEMA \"Its, 'own'\"",
            """ALTER ROLE {service} SET search_path = public, "Its, 'own'" """,
        ),
    ),
    Case(
        "schema +not at head: the database role may not use it. To do: run `app grant`",
        statements=(
            "CREATE SCHEMA {service}",
            "ALTER TABLE alembic_version SET SCHEMA {service}",
        ),
    ),
    # Another service in the same database.
    Case(
        "schema +not at head: no migration has run; the code needs ",
        statements=("CREATE SCHEMA theirs", "ALTER TABLE alembic_version SET SCHEMA theirs"),
    ),
    Case(r"connections +500 x 24 .* of \d+ \(max_connections", {"WEB_CONCURRENCY": "500"}),
    Case("connections +500 x 24 ", arguments=("--processes", "500")),
    Case("connections +1 x 24 .* 99 x 23 ", arguments=("--workers", "99")),
    Case("connections +WEB_CONCURRENCY is 'two'. To do: ", {"WEB_CONCURRENCY": "two"}),
    Case("connections +WEB_CONCURRENCY is '0'. To do: ", {"WEB_CONCURRENCY": "0"}),
    Case(
        r"replica +500 x 13 = 6500 of \d+ \(max_connections",
        {"DATABASE_REPLICA_URL": "{service_url}", "WEB_CONCURRENCY": "500"},
    ),
    Case(
        "connections +1 x 24 .* 1 x 13 for workers .* of 38 .CONNECTION LIMIT of the database",
        {"WORKER_JOBS": "5"},
        ("ALTER DATABASE {database} CONNECTION LIMIT 38",),
    ),
    Case(
        "connections +1 x 27 .* 0 x 23 for workers .* of 28 .CONNECTION LIMIT of the database",
        {"WORKER_IN_SERVICE": "true"},
        ("ALTER DATABASE {database} CONNECTION LIMIT 28",),
    ),
    Case(
        "connections .* of 20 .CONNECTION LIMIT of the database",
        statements=("ALTER DATABASE {database} CONNECTION LIMIT 20",),
    ),
    # No pooler responds, so PostgreSQL has to accept them all.
    Case(
        "connections .* of 21 .CONNECTION LIMIT of the database",
        {"DATABASE_POOLER": "true"},
        ("ALTER DATABASE {database} CONNECTION LIMIT 21",),
    ),
    Case(
        "connections .* of 21 .CONNECTION LIMIT of the user",
        statements=("ALTER ROLE {service} CONNECTION LIMIT 21",),
    ),
    Case(
        'jobs .*"pgqueuer" does not exist(?!.*SQL).* To do: run `app migrate`, then `app grant`',
        statements=("DROP TABLE pgqueuer",),
    ),
    Case("jobs .*permission denied", statements=("REVOKE SELECT ON pgqueuer FROM {service}",)),
]

WARNINGS = [
    Case(
        "database .* a superuser. To do: .*app grant",
        statements=("ALTER ROLE {service} SUPERUSER",),
    ),
    Case(
        "database +DATABASE_REPLICA_URL.* not a replica", {"DATABASE_REPLICA_URL": "{service_url}"}
    ),
    Case("schema +ahead", statements=("UPDATE alembic_version SET version_num = 'newer'",)),
    Case("pooler +DATABASE_POOLER is on, but there is none", {"DATABASE_POOLER": "true"}),
    Case("weak +DEVELOPMENT is on", {"DEVELOPMENT": "true"}),
    Case(
        "weak +TRUSTED_PROXIES: trusts so many",
        {"DEVELOPMENT": "true", "TRUSTED_PROXIES": "0.0.0.0/0"},
    ),
    Case("weak +ALLOWED_HOSTS: ", {"ALLOWED_HOSTS": "*"}),
    Case("weak +CORS_ORIGINS: pages of any", {"CORS_ORIGINS": "*"}),
    Case("weak +CORS_ORIGINS: .*http://app", {"CORS_ORIGINS": "http://app.example.com"}),
    Case("weak +DOCS: ", {"DOCS": "true"}),
    Case("weak +METRICS: ", {"METRICS": "on"}),
    Case("weak +LOG_LEVEL: ", {"LOG_LEVEL": "debug"}),
]


@pytest.mark.parametrize(
    ("level", "case"),
    [*(("error", case) for case in ERRORS), *(("warning", case) for case in WARNINGS)],
    ids=str,
)
def test_what_is_broken_is_reported_and_all_else_is_checked(
    sound: Environment, monkeypatch: pytest.MonkeyPatch, level: str, case: Case
) -> None:
    names = {
        "database": f'"{sound.owner.database}"',
        "service": sound.service.username,
        "oldest": revisions()[0],
    }
    execute(sound.owner, *(statement.format(**names) for statement in case.statements))
    for name, value in case.variables.items():
        url = sound.service.render_as_string(hide_password=False)
        monkeypatch.setenv(name, value.replace("{service_url}", url))

    result = doctor(*case.arguments)

    assert re.search(f"^{level} +{case.line}", result.stdout, re.MULTILINE), result.stdout
    assert {name for _, name, _ in lines_of(result)} >= CHECKS
    assert result.exit_code == (1 if level == "error" else 0)
    assert SECRET not in result.output


@pytest.mark.usefixtures("sound")
def test_checks_that_need_valid_settings_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "")

    unchecked = {name: rest for level, name, rest in lines_of(doctor()) if "not checked" in rest}

    assert unchecked.keys() >= {"database", "schema", "clock", "jobs", "weak"}
    assert {rest.rpartition(". ")[2] for rest in unchecked.values()} == {
        "To do: correct what `settings` says"
    }


def test_wrong_clock_is_reported_and_fails_if_that_is_asked_for(
    sound: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = checks.now
    monkeypatch.setattr(checks, "now", lambda: now() + timedelta(seconds=90))

    result = doctor()
    assert re.search(r"warning +clock +90\.\d s from that of the", result.stdout)
    assert result.exit_code == 0
    assert doctor("--strict").exit_code == 1


def test_pooler_that_settings_do_not_name_is_reported(
    sound: Environment, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A pooler sends a process id of its own."""
    monkeypatch.setattr(driver_for(sound.service), "backend_pid", lambda _connection: -1)

    assert re.search("error +pooler +DATABASE_POOLER is off, but", doctor().stdout)

    monkeypatch.setenv("DATABASE_POOLER", "true")
    assert re.search("warning +pooler .* no time limit.*`app set-limits`", doctor().stdout)
    assert re.search("ok +connections +1 x 24 = 24 of max_client_conn", doctor().stdout)
    assert caplog.messages == []  # the missing limit is not said twice

    run("set-limits")
    assert re.search("error +pooler +WORKER_DATABASE_URL is not set", doctor().stdout)
    assert re.search("ok +pooler +a pooler, as", doctor("--workers", "0").stdout)


def test_check_that_finds_no_free_connection_says_so(sound: Environment) -> None:
    """Each check has a connection of its own: the one of the database may be the last."""
    execute(sound.owner, f"ALTER ROLE {sound.service.username} CONNECTION LIMIT 1")

    unchecked = re.findall("not checked: .*", doctor().stdout)

    assert unchecked
    assert all("too many connections for role" in line for line in unchecked)
    assert all("To do: correct what `database` says, or let" in line for line in unchecked)


def test_jobs_that_are_dead_or_late_are_reported(sound: Environment) -> None:
    with_database(sound.owner, queue_two_of_which_one_is_dead)
    assert re.search("warning +jobs +1 dead: failing, since ", doctor().stdout)

    execute(sound.owner, "UPDATE pgqueuer SET execute_after = now() - interval '10 min'")
    assert re.search(r"warning +jobs +1 waiting: unknown\w+, for 10 min", doctor().stdout)


@pytest.mark.usefixtures("sound")
def test_secret_of_the_database_that_is_easy_to_guess_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    user = "api"
    monkeypatch.setenv("DATABASE_URL", f"postgresql://{user}:{user}@127.0.0.1:1/app")

    assert re.search("warning +weak +DATABASE_URL: its secret is easy", doctor().stdout)


async def never(_examined: Examined) -> Sequence[Finding]:
    await asyncio.sleep(60)
    return []


async def late(_examined: Examined) -> Sequence[Finding]:
    raise UnavailableError("The database took too long", kind="deadline")


async def broken(_examined: Examined) -> Sequence[Finding]:
    raise RuntimeError("a bug")


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (never, "no result after 0.3 s. To do: try again with --timeout"),
        (late, "The database took too long. To do: look into the log of the database"),
        (broken, "RuntimeError: a bug .* To do: correct the code of the check"),
    ],
)
@pytest.mark.usefixtures("sound")
def test_check_that_fails_or_hangs_is_reported(
    monkeypatch: pytest.MonkeyPatch, check: Check, said: str
) -> None:
    monkeypatch.setattr(checks, "check_clock", check)

    result = doctor("--timeout", "0.3")

    assert re.search(f"error +clock +{said}", result.stdout), result.stdout
    assert {name for _, name, _ in lines_of(result)} >= CHECKS
    assert result.exit_code == 1


def test_server_that_hangs_is_reported_in_time(
    sound: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setenv("DATABASE_URL", f"postgresql://api:{SECRET}@127.0.0.1:{port}/app")
        result = doctor("--timeout", "2")

    assert re.search("error +database +DATABASE_URL: ", result.stdout), result.stdout
    assert re.search("ok +database +DATABASE_DIRECT_URL: ", result.stdout), result.stdout
    assert {name for _, name, _ in lines_of(result)} >= CHECKS
    assert result.exit_code == 1
