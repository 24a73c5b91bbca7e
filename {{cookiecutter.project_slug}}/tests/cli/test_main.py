"""The command line, on its own database."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from sqlalchemy import URL, text
from typer.testing import CliRunner, Result

from app.cli import dev_server
from app.cli.commands import CommandError, commands
from app.cli.demo_data import seed
from app.cli.main import cli
from app.core.database.constraints import declared_refusals
from app.core.database.sessions import Database
from app.exceptions import ConflictError
from app.models.user import User
from tests.factories import Factory
from tests.postgres import temporary_database


@pytest.fixture
def empty_database(
    template_url: URL, worker_id: str, monkeypatch: pytest.MonkeyPatch
) -> Generator[URL]:
    name = f"{template_url.database}_{worker_id}_cli"
    with temporary_database(template_url, name) as url:
        monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))
        yield url


def run(*arguments: str) -> Result:
    return CliRunner().invoke(commands, arguments, catch_exceptions=False)


@pytest.mark.usefixtures("empty_database")
def test_database_is_migrated_and_seeded_once() -> None:
    assert "newest revision" in run("migrate").stdout
    assert "newest revision" in run("migrate").stdout
    assert re.fullmatch(r"Wrote 8 users( and \d+ \w+)*\.\n", run("seed").stdout)
    assert run("seed").stdout == "The demo data already exists; wrote nothing.\n"
    pruned = run("prune").stdout
    assert pruned.startswith("Deleted 0 expired idempotency keys.\n")
    # {% if cookiecutter.use_auth %}
    assert pruned.endswith("0 expired sessions.\nDeleted 0 expired one-time tokens.\n")
    # {% endif %}


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
    refusals = declared_refusals() | {"uq_users_display_name": (ConflictError, "The name is taken")}
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


def test_openapi_needs_no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("API_PREFIX", "/api/v1")

    document = json.loads(run("openapi").stdout)

    assert document["openapi"].startswith("3.")
    assert "/api/v1/users" in document["paths"]


def test_invalid_setting_is_an_error_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://localhost")
    monkeypatch.setattr("sys.argv", ["app", "migrate"])

    with pytest.raises(SystemExit) as exit_:
        cli()

    assert exit_.value.code == 1
    error = capsys.readouterr().err
    assert "DATABASE_URL: not a PostgreSQL URL" in error
    assert "Traceback" not in error


def test_missing_setting_is_an_error_without_the_embedded_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
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


def serve(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, environment: dict[str, str]
) -> dict[str, str]:
    """Return the environment in which `app dev` serves."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.environ", environment)
    monkeypatch.setattr("uvicorn.run", lambda *_, **_options: None)
    dev_server.serve("127.0.0.1", 8000, URL.create("postgresql"))
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


# {% if cookiecutter.use_auth %}
@pytest.mark.parametrize(("configured", "served"), [(None, "console"), ("smtp", "smtp")])
def test_dev_prints_mail_by_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, configured: str | None, served: str
) -> None:
    given = {"MAIL_DELIVERY": configured} if configured else {}
    environment = serve(monkeypatch, tmp_path, given)

    assert environment["MAIL_DELIVERY"] == served
    assert environment["FRONTEND_URL"] == "http://127.0.0.1:8000"
    assert len(environment["SECRET_KEY"]) >= 32


# {% endif %}
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
        process.communicate("")
    with dev_server.single_instance():
        pass  # free again
