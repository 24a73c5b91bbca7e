"""The command line, on its own database."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import MagicMock, Mock

import alembic.command
import pytest
from alembic.config import Config
from sqlalchemy import URL, text
from sqlalchemy.exc import DBAPIError, InvalidRequestError, OperationalError
from sqlalchemy.ext.asyncio import create_async_engine
from typer.testing import CliRunner, Result

from app import __version__
from app.cli import dev_server
from app.cli.commands import CommandError, commands, error_sentence
from app.cli.demo_data import seed
from app.cli.embedded_postgres import data_folder
from app.cli.main import cli, seed_embedded_server
from app.core.config import ConfigurationError, parse_database_url
from app.core.database.constraints import Refusal, declared_refusals
from app.core.database.drivers import run as run_coroutine
from app.core.database.migrations import UnknownRevisionError, revisions
from app.core.database.sessions import Database
from app.core.env_file import PROJECT
from app.exceptions import ConflictError
from app.jobs.maintenance import PRUNERS
from app.models.user import User
from tests.caller_variables import REQUIRED
from tests.factories import Factory
from tests.ip_versions import has_ipv6
from tests.postgres import make_test_engine


def refusal(sqlstate: str) -> Exception:
    """Return an error of a driver."""
    error = Exception("refused")
    error.sqlstate = sqlstate  # type: ignore[attr-defined]
    return error


def run(*arguments: str, input_: str = "") -> Result:
    return CliRunner().invoke(commands, arguments, catch_exceptions=False, input=input_)


def run_cli(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command line, and return its exit code."""
    monkeypatch.setattr("sys.argv", ["app", *arguments])
    with pytest.raises(SystemExit) as exit_:
        cli()
    return int(exit_.value.code or 0)


def run_python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a module of the project in a sub-folder."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=PROJECT / "app",
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.usefixtures("empty_database")
def test_database_is_migrated_and_seeded_once() -> None:
    assert "newest revision" in run("migrate").stdout
    assert "newest revision" in run("migrate").stdout
    assert re.fullmatch(r"Wrote 8 users( and \d+ \w+)*\.\n", run("seed", "--yes").stdout)
    assert run("seed", "--yes").stdout == "The demo data already exists; wrote nothing.\n"
    assert run("prune").stdout == "".join(f"Deleted 0 expired {kind}.\n" for kind in PRUNERS)


@pytest.mark.usefixtures("empty_database")
def test_limits_are_set_for_the_role() -> None:
    told = run("set-limits").stdout.splitlines()

    limits = [line.partition(" SET ")[2] for line in told[:-1]]
    assert limits == [
        "statement_timeout = '4000';",
        "lock_timeout = '2000';",
        "idle_in_transaction_session_timeout = '30000';",
    ]
    assert "RECONNECT" in told[-1]


async def test_conflict_with_something_else_is_not_taken_for_demo_data(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = declared_refusals() | {
        "uq_users_display_name": Refusal(ConflictError, "The name is taken")
    }
    monkeypatch.setattr("app.core.database.constraints.declared_refusals", lambda: refusals)
    async with database.transaction() as session:
        await session.execute(
            text("CREATE UNIQUE INDEX uq_users_display_name ON users (display_name)")
        )
        session.add(User(email="another@example.com", display_name="Ada"))

    with pytest.raises(ConflictError, match="The name is taken"):
        await seed(database)


async def test_part_of_the_demo_data_is_enough_to_leave_it(
    database: Database, make: Factory
) -> None:
    await make.user(email="Grace@example.com")

    assert await seed(database) is None


@pytest.mark.usefixtures("empty_database")
def test_demo_data_is_written_to_another_database_only_if_confirmed() -> None:
    run("migrate")
    refused = run("seed", input_="n\n")
    assert refused.exit_code == 1
    assert "this database? [y/N]" in refused.output

    assert "Wrote 8 users" in run("seed", input_="y\n").output


def test_database_of_a_command_is_named_without_its_secret(
    empty_database: URL, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert "(DATABASE_URL in the environment)" in run("migrate").stderr

    file = tmp_path / ".env"
    url = empty_database.update_query_dict({"application_name": "not shown"})
    file.write_text(f"database_url={url.render_as_string(hide_password=False)}\n")
    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.setenv("ENV_FILE", str(file))
    monkeypatch.setenv("DATABASE_DIRECT_URL", url.render_as_string(hide_password=False))
    shown = run("set-limits").stderr
    assert f"(DATABASE_URL in {file})" in shown
    assert "(DATABASE_DIRECT_URL, for migrations)" in shown
    assert f"/{url.database}" in shown
    assert "not shown" not in shown
    assert f":{url.password}@" not in shown


@pytest.mark.parametrize(
    "variable", ["DATABASE_DIRECT_URL", "DATABASE_REPLICA_URL", "WORKER_DATABASE_URL"]
)
def test_embedded_server_is_not_mixed_with_another(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "postgresql://localhost/app")

    with pytest.raises(CommandError, match=f"{variable} is set, but DATABASE_URL is not"):
        run("migrate")


def test_alembic_uses_the_same_database_in_any_folder(empty_database: URL, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(f"DATABASE_URL={empty_database.render_as_string(hide_password=False)}\n")
    arguments = ("-m", "alembic", "upgrade", "head")
    completed = run_python(*arguments, DATABASE_URL="", ENV_FILE=str(file))

    assert completed.returncode == 0, completed.stderr
    assert f"(DATABASE_URL in {file})" in completed.stderr
    assert "newest revision" in run("migrate").stdout


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"DATABASE_URL": "mysql://localhost"}, "DATABASE_URL: not a PostgreSQL URL"),
        ({"DATABASE_URL": "postgresql://127.0.0.1:1/app"}, "cannot be used: "),
        ({"DATABASE_POOL_SIZE": "many"}, "DATABASE_POOL_SIZE: "),
        ({"ENV_FILE": "utf-16"}, "is not UTF-8 text"),
    ],
)
@pytest.mark.usefixtures("empty_database")
def test_alembic_prints_errors_without_a_traceback(
    tmp_path: Path, variables: dict[str, str], message: str
) -> None:
    if encoding := variables.get("ENV_FILE"):
        (tmp_path / ".env").write_text("API_PREFIX=/api\n", encoding=encoding)
        variables = {"ENV_FILE": str(tmp_path / ".env")}
    completed = run_python("-m", "alembic", "current", **variables)

    assert completed.returncode == 1
    assert message in completed.stderr
    assert "Traceback" not in completed.stderr


@pytest.mark.parametrize("command", [("seed",), ("erase-user", "ann@example.com")])
def test_question_without_stdin_is_an_error(empty_database: URL, command: tuple[str, ...]) -> None:
    main = "import sys; sys.stdin = None; from app.cli.main import cli; cli()"  # as after `<&-`
    completed = run_python("-c", main, *command)

    assert completed.returncode == 1
    assert "stdin is closed: use --yes" in completed.stderr


def test_version_is_printed() -> None:
    assert run("--version").stdout == f"{__version__}\n"


def test_help_is_printed_without_importing_the_service() -> None:
    modules = "{'alembic', 'fastapi', 'pydantic', 'sqlalchemy', 'uvicorn'}"
    code = f"import sys, app.cli.main; print({modules} & sys.modules.keys())"

    assert run_python("-c", code).stdout == "set()\n"


def test_settings_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    for name, value in {"DATABASE_URL": "postgresql://localhost/unused", **REQUIRED}.items():
        with pytest.raises(ConfigurationError, match=f"{name}: not set"):
            run("check")
        monkeypatch.setenv(name, value)

    assert run("check").stdout == "The settings are valid.\n"


def test_openapi_needs_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("API_PREFIX", "/api/v1")

    document = json.loads(run("openapi").stdout)

    assert document["openapi"].startswith("3.")
    assert "/api/v1/users" in document["paths"]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://localhost", "DATABASE_URL: not a PostgreSQL URL"),
        ("postgresql://127.0.0.1:1/app", "127.0.0.1"),
        ("{server}/no_such_database", "no_such_database"),
        ("{server}/postgres?no_such_parameter=1", "no_such_parameter"),
    ],
)
def test_wrong_database_is_an_error_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    template_url: URL,
    url: str,
    message: str,
) -> None:
    base = template_url.set(database=None, drivername="postgresql")
    server = base.render_as_string(hide_password=False).partition("?")[0].rstrip("/")
    query = template_url.render_as_string().partition("?")[2]
    given = url.format(server=server)
    if query and "{server}" in url:  # the embedded server is found by a parameter
        given += f"{'&' if '?' in given else '?'}{query}"
    monkeypatch.setenv("DATABASE_URL", given)

    assert run_cli(monkeypatch, "migrate") == 1
    error = capsys.readouterr().err.partition("Error: ")[2]
    assert message in error
    assert len(error.splitlines()) <= 3
    assert "Traceback" not in error


def test_unknown_revision_is_an_error_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], empty_database: URL
) -> None:
    run("migrate")
    engine = create_async_engine(empty_database)

    async def forge() -> None:
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE alembic_version SET version_num = 'no_such'"))
        await engine.dispose()

    run_coroutine(empty_database, forge())

    assert run_cli(monkeypatch, "migrate") == 1
    error = capsys.readouterr().err.partition("Error: ")[2]
    assert error.startswith("The database is at revision 'no_such', which is not in ")
    assert "Check that out and run `uv run alembic downgrade`" in error
    assert ".postgres" not in error
    assert len(error.splitlines()) == 1
    by_alembic = run_python("-m", "alembic", "upgrade", "head")
    assert by_alembic.returncode == 1
    assert f"Error: {error}" in by_alembic.stderr
    assert run_python("-m", "alembic", "stamp", "--purge", "head").returncode == 0
    assert run_cli(monkeypatch, "migrate") == 0


def test_revision_that_alembic_is_asked_for_is_not_blamed_on_the_database(
    empty_database: URL,
) -> None:
    run("migrate")
    completed = run_python("-m", "alembic", "downgrade", "no_such")

    assert completed.returncode != 0
    assert "Can't locate revision identified by 'no_such'" in completed.stdout
    assert "The database is at" not in completed.stdout + completed.stderr


def test_unknown_revision_of_the_embedded_server_names_its_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    @contextmanager
    def embedded(_: Path) -> Generator[str]:
        yield "postgresql://localhost/postgres"

    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setattr("app.cli.dev_server.DIRECTORY", tmp_path)
    monkeypatch.setattr("app.cli.embedded_postgres.embedded_postgres", embedded)
    monkeypatch.setattr(
        "app.core.database.migrations.migrate", Mock(side_effect=UnknownRevisionError("no_such"))
    )

    folder = re.escape(str(data_folder(tmp_path / "data")))
    with pytest.raises(CommandError, match=f"revision 'no_such', .* or stop .* delete {folder}, "):
        run("migrate")


def test_readme_names_the_commands_that_use_no_embedded_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each other command asks for the database of the project, as `migrate` does."""

    class AskedError(Exception):
        pass

    monkeypatch.delenv("DATABASE_URL", raising=False)
    for module in {command.callback.__module__ for command in commands.registered_commands}:
        monkeypatch.setattr(f"{module}.database_url", Mock(side_effect=AskedError), raising=False)
    monkeypatch.setattr("app.cli.main.require_free_port", Mock())
    monkeypatch.setattr("app.cli.dev_server.DIRECTORY", tmp_path)
    email = "ada@example.com"
    others = set()
    for name in [str(command.name) for command in commands.registered_commands]:
        results = [
            CliRunner().invoke(commands, [name, *arguments])
            for arguments in ((), (email,), (email, "--yes"), ("-m", email))
        ]
        if not any(isinstance(result.exception, AskedError) for result in results):
            others.add(name)
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    (sentence,) = re.findall(
        r"The exceptions are\s+([^.]+), which use none, and ([^.]+), which need", readme
    )
    named = re.findall(r"`(\w+)`", " ".join(sentence))
    # The first two ask for it after they have found the resource; `recipe` has commands of its own.
    assert others - {"remove", "rename"} | {"recipe"} == set(named)


@pytest.fixture
def first_revision(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return the file of the first revision, in a copy that commands use."""
    shutil.copytree(PROJECT / "alembic", tmp_path / "alembic")
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    monkeypatch.setattr("app.core.database.migrations.PROJECT", tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])  # Alembic prepends the folder
    (file,) = tmp_path.glob(f"alembic/versions/*_{revisions()[0]}_*.py")
    return file


@pytest.mark.filterwarnings("ignore:Revision .* is not present:UserWarning")
def test_revision_without_its_file_is_an_error_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    empty_database: URL,
    first_revision: Path,
) -> None:
    first_revision.unlink()

    missing = f"after the revision '{revisions()[0]}', whose file is missing"
    for arguments in (("migrate",), ("revision", "-m", "x"), ("revision", "-m", "x", "--empty")):
        assert run_cli(monkeypatch, *arguments) == 1
        assert missing in capsys.readouterr().err
    found = run("doctor").stdout
    assert re.search(f"schema .*{missing} in alembic/versions. To do: restore that one, or", found)
    with pytest.raises(SystemExit, match=missing):
        alembic.command.current(Config(toml_file=first_revision.parents[2] / "pyproject.toml"))


@pytest.mark.usefixtures("empty_database")
def test_two_newest_revisions_are_an_error_that_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    first_revision: Path,
) -> None:
    run("migrate")
    second = first_revision.read_text(encoding="utf-8").replace(revisions()[0], "second")
    second = second.replace("str | None = None", f"str | None = {revisions()[0]!r}")
    first_revision.with_name("second.py").write_text(second, encoding="utf-8")

    heads = ", ".join(sorted([revisions()[-1], "second"]))
    sentence = f"There are several newest revisions: {heads}. "
    for arguments in (("migrate",), ("revision", "-m", "x")):
        assert run_cli(monkeypatch, *arguments) == 1
        assert f"{sentence}Join them by `uv run alembic merge heads`" in capsys.readouterr().err
    assert re.search(
        f"error +schema +{sentence}To do: join them by `uv run alembic merge heads`\n",
        run("doctor").stdout,
    )


def test_key_error_of_a_migration_is_not_taken_for_a_missing_file(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    empty_database: URL,
    first_revision: Path,
) -> None:
    upgrade = "def upgrade() -> None:\n"
    code = first_revision.read_text(encoding="utf-8")
    mistaken = code.replace(upgrade, f"{upgrade}    raise KeyError('settings')\n")
    first_revision.write_text(mistaken, encoding="utf-8")

    assert run_cli(monkeypatch, "migrate") == 1
    assert "KeyError: 'settings'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (InvalidRequestError("Table 'users' is already defined"), "InvalidRequestError: Table"),
        (DBAPIError("SELECT 1", {}, refusal("28P01")), "The database cannot be used: "),
        (DBAPIError("SELECT 1", {}, refusal("3D000")), "The database cannot be used: "),
        (DBAPIError("SELECT 1", {}, refusal("42601")), "The database refused a statement: "),
        (DBAPIError("SELECT 1", {}, refusal("08P01")), "The database cannot be used: "),
        (OperationalError("SELECT 1", {}, refusal("53300")), "The database cannot be used: "),
        (OperationalError("SELECT 1", {}, refusal("57P01")), "The database cannot be used: "),
        (OperationalError("SELECT 1", {}, refusal("57014")), "The database refused a statement: "),
        (OperationalError("SELECT 1", {}, Exception("lost")), "The database cannot be used: "),
        (
            PermissionError(13, "Permission denied", "app/main.py"),
            "[Errno 13] Permission denied: 'app/main.py'",
        ),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
    ],
)
def test_sentence_says_whether_the_database_was_asked(error: Exception, sentence: str) -> None:
    assert error_sentence(error).startswith(sentence)


async def test_sentence_for_a_table_that_is_locked_says_what_to_do(database_url: URL) -> None:
    """The drivers raise different classes for it."""
    engine = make_test_engine(database_url)
    async with engine.begin() as first, engine.begin() as second:
        await first.execute(text("SELECT pg_advisory_xact_lock(1)"))
        await second.execute(text("SET LOCAL lock_timeout = 1"))
        with pytest.raises(DBAPIError) as refused:
            await second.execute(text("SELECT pg_advisory_xact_lock(1)"))
    await engine.dispose()

    sentence = error_sentence(refused.value)
    assert sentence.startswith("The database refused a statement: ")
    assert sentence.endswith(". Another transaction holds the table; run it again")


def test_sentence_for_a_mistake_names_its_place_in_the_project() -> None:
    try:
        parse_database_url(Mock(side_effect=ValueError))
    except ValueError as error:
        sentence = error_sentence(error)

    assert re.search(r"\(.*/app/core/config\.py, line \d+\)$", sentence)


def test_traceback_is_shown_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://localhost")
    monkeypatch.setattr("sys.argv", ["app", "migrate", "--traceback"])

    with pytest.raises(ConfigurationError):
        cli()


@pytest.mark.usefixtures("empty_database")
def test_unexpected_error_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "app.jobs.maintenance.prune", Mock(side_effect=TypeError("of a programmer"))
    )

    assert run_cli(monkeypatch, "prune") == 1
    assert "TypeError: of a programmer" in capsys.readouterr().err


def test_dev_goes_on_if_a_model_is_ahead_of_its_migration(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], empty_database: URL
) -> None:
    """As a new column, here all tables are missing."""
    monkeypatch.delenv("DATABASE_URL")

    assert seed_embedded_server(empty_database) == {}
    shown = capsys.readouterr().err
    assert 'relation "users" does not exist' in shown
    assert "uv run app revision" in shown


def test_dev_writes_demo_data_to_the_embedded_server_only(empty_database: URL) -> None:
    run("migrate")

    assert seed_embedded_server(empty_database) == {}
    assert "Wrote 8 users" in run("seed", "--yes").stdout


def test_missing_setting_is_an_error_without_the_embedded_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setitem(sys.modules, "app.cli.embedded_postgres", None)

    with pytest.raises(CommandError, match="DATABASE_URL is not set"):
        run("migrate")


def test_port_in_use_is_an_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(CommandError, match=f"127.0.0.1:{port} .*--port"):
            dev_server.require_free_port("127.0.0.1", port)


def test_port_is_not_shared_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """There SO_REUSEADDR would allow it."""
    probe = MagicMock()
    monkeypatch.setattr("socket.socket", probe)
    monkeypatch.setattr("sys.platform", "win32")

    dev_server.require_free_port("127.0.0.1", 8000)

    probe.return_value.__enter__.return_value.bind.assert_called_once()
    probe.return_value.__enter__.return_value.setsockopt.assert_not_called()


@pytest.mark.parametrize("host", ["nonsense.invalid", "192.0.2.1", "2001:db8::1", "a..b", "[::1]"])
def test_host_that_is_not_of_this_machine_is_an_error(host: str) -> None:
    with pytest.raises(CommandError, match=r"Cannot listen on .* with --host, such as") as refused:
        dev_server.require_free_port(host, 8000)
    assert "--port" not in str(refused.value)


@pytest.mark.skipif(not has_ipv6(), reason="the machine has no IPv6")
def test_port_of_an_ipv6_address_may_be_free_or_in_use() -> None:
    with socket.socket(socket.AF_INET6) as free:
        free.bind(("::1", 0))
        port = free.getsockname()[1]
    dev_server.require_free_port("::1", port)

    with socket.socket(socket.AF_INET6) as taken:
        taken.bind(("::1", port))
        taken.listen()
        with pytest.raises(CommandError, match=rf"\[::1\]:{port} .*--port"):
            dev_server.require_free_port("::1", port)


def test_address_of_ipv6_is_in_brackets_in_urls(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    serve(monkeypatch, tmp_path, {}, host="::1")

    assert "http://[::1]:8000/docs" in capsys.readouterr().out


def serve(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    environment: dict[str, str],
    host: str = "127.0.0.1",
) -> dict[str, str]:
    """Return the environment in which `app dev` serves."""
    (tmp_path / ".env").touch()
    environment["ENV_FILE"] = str(tmp_path / ".env")
    monkeypatch.setattr("os.environ", environment)
    monkeypatch.setattr("uvicorn.run", lambda *_, **_options: None)
    dev_server.serve(host, 8000, URL.create("postgresql"))
    return environment


@pytest.mark.parametrize(("configured", "served"), [(None, "raise"), ("log", "log")])
@pytest.mark.parametrize("place", ["environment", "file"])
def test_dev_raises_second_connections_by_default(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    place: str,
    configured: str | None,
    served: str,
) -> None:
    environment: dict[str, str] = {}
    if configured and place == "environment":
        environment["DATABASE_SECOND_CONNECTION"] = configured
    elif configured:
        (tmp_path / ".env").write_text(f"DATABASE_SECOND_CONNECTION={configured}\n")

    assert serve(monkeypatch, tmp_path, environment)["DATABASE_SECOND_CONNECTION"] == served


def test_dev_accepts_what_is_unsafe_in_production(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert serve(monkeypatch, tmp_path, {})["DEVELOPMENT"] == "true"


def test_second_dev_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(dev_server, "DIRECTORY", tmp_path / ".postgres")
    # A process can take its own lock again, so the first `app dev` runs in another process.
    first = (
        "import sys; from pathlib import Path; from app.cli import dev_server; "
        "dev_server.DIRECTORY = Path(sys.argv[1])\n"
        "with dev_server.single_instance(): print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", first, str(dev_server.DIRECTORY)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "locked\n"
        second = dev_server.single_instance()
        with pytest.raises(CommandError, match="already runs"):
            second.__enter__()
        assert dev_server.is_dev_running()
        process.communicate("")
    assert not dev_server.is_dev_running()
    with dev_server.single_instance():
        pass  # free again
