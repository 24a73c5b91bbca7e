"""What is stored about a person, wherever it is: printed without secrets, and deleted."""

import json
import os
import subprocess
import sys
from collections.abc import Generator

import pytest
from sqlalchemy import URL, select, text
from typer.testing import CliRunner, Result

from app.cli import main as main  # registers the commands
from app.cli.commands import commands
from app.core.database import Database
from app.exceptions import NotFoundError
from app.models.idempotency_key import IdempotencyKey
from app.models.user import scope_of_user
from app.services.personal_data_service import PersonalDataService
from tests.factories import Factory
from tests.postgres import clone, execute

EMAIL = "ann@example.com"


async def test_export_holds_the_rows_of_the_person_and_of_nobody_else(
    database: Database, make: Factory
) -> None:
    ann = await make.user(email=EMAIL, display_name="Ann")
    await make.user(email="eve@example.com")

    async with database.read() as session:
        found = await PersonalDataService(session).export(EMAIL.upper())

    (user,) = found["users"]
    assert (user["id"], user["email"], user["display_name"]) == (ann.id, EMAIL, "Ann")
    assert "eve@example.com" not in str(found)


async def test_unknown_person_has_no_data(database: Database) -> None:
    async with database.transaction() as session:
        with pytest.raises(NotFoundError, match="Nothing is stored about"):
            await PersonalDataService(session).export("x@example.com")
        with pytest.raises(NotFoundError, match="Nothing is stored about"):
            await PersonalDataService(session).erase("x@example.com")


async def test_erased_person_has_left_nothing(database: Database, make: Factory) -> None:
    ann = await make.user(email=EMAIL)
    other = await make.user(email="eve@example.com")

    async with database.transaction() as session:
        for user in (ann, other):
            row = {"scope": scope_of_user(user.id), "key": "", "fingerprint": b"", "status": 201}
            session.add(IdempotencyKey(**row, headers=[], body=user.email.encode()))
            created = row | {"scope": "somebody else", "key": user.email}
            headers = [("location", f"/api/users/{user.id}")]
            session.add(IdempotencyKey(**created, headers=headers, body=user.email.encode()))
        await session.flush()
        await PersonalDataService(session).erase(EMAIL.upper())

    async with database.read() as session:
        left = (await session.scalars(text("SELECT id FROM users"))).all()
        assert left == [other.id]
        kept = (await session.scalars(select(IdempotencyKey.body))).all()
        assert kept == [b"eve@example.com"] * 2


@pytest.fixture
def copied_database(
    template_url: URL, worker_id: str, monkeypatch: pytest.MonkeyPatch
) -> Generator[URL]:
    with clone(template_url, f"{template_url.database}_{worker_id}_personal_data") as url:
        monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))
        yield url


def run(*arguments: str, answer: str = "") -> Result:
    return CliRunner().invoke(commands, arguments, input=answer)


def test_export_is_utf_8_whatever_the_terminal_shows(copied_database: URL) -> None:
    execute(
        copied_database,
        "INSERT INTO users (email, display_name) VALUES ('zoe@x.org', 'Zo\u00eb \u2615')",
    )
    completed = subprocess.run(
        [sys.executable, "-c", "from app.cli.main import cli; cli()", "export-user", "zoe@x.org"],
        env=os.environ | {"PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        check=True,
    )

    assert json.loads(completed.stdout)["users"][0]["display_name"] == "Zo\u00eb \u2615"


@pytest.mark.usefixtures("copied_database")
def test_commands_print_and_erase() -> None:
    run("seed", "--yes")
    printed = json.loads(run("export-user", "ada@example.com").stdout)
    assert printed["users"][0]["display_name"] == "Ada"

    refused = run("erase-user", "ada@example.com", answer="n\n")
    assert refused.exit_code == 1
    database, question = refused.output.split("\n", maxsplit=1)
    assert database.startswith("Database: ")
    assert question.startswith("Delete all that this database has about ada@example.com? [y/N]")
    assert run("export-user", "ada@example.com").exit_code == 0
    assert "Erased." in run("erase-user", "ada@example.com", "--yes").stdout
    assert isinstance(run("export-user", "ada@example.com").exception, NotFoundError)
