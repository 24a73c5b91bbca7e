"""What is stored about a person, wherever it is: printed without secrets, and deleted."""

import json
from collections.abc import Generator

import pytest
from sqlalchemy import URL, LargeBinary, func, select, text
from typer.testing import CliRunner, Result

from app.cli import main as main  # registers the commands
from app.cli.commands import commands
from app.core.database import Database
from app.exceptions import NotFoundError
from app.models import metadata
from app.services.personal_data_service import PersonalDataService
from tests.factories import Factory
from tests.postgres import clone

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


def test_every_table_says_whose_rows_it_has_or_is_known_to_have_none() -> None:
    """A new table with a person's data has a foreign key that leads to them, or their address."""
    reached = {table for table in metadata.tables.values() if "email" in table.c}
    for table in metadata.sorted_tables:
        if any(key.column.table in reached for key in table.foreign_keys):
            reached.add(table)

    others = metadata.tables.keys() - {table.name for table in reached}
    # {% if cookiecutter.use_auth %}
    others.discard("rate_limits")  # digests, which expire
    # {% endif %}
    assert others <= {"idempotency_keys"}  # they expire, and belong to callers of any kind


async def test_unknown_person_has_no_data(database: Database) -> None:
    async with database.transaction() as session:
        with pytest.raises(NotFoundError, match="Nothing is stored about"):
            await PersonalDataService(session).export("x@example.com")
        with pytest.raises(NotFoundError, match="Nothing is stored about"):
            await PersonalDataService(session).erase("x@example.com")


async def test_erased_person_has_left_nothing(database: Database, make: Factory) -> None:
    await make.user(email=EMAIL)
    other = await make.user(email="eve@example.com")

    async with database.transaction() as session:
        await PersonalDataService(session).erase(EMAIL.upper())

    async with database.read() as session:
        left = (await session.scalars(text("SELECT id FROM users"))).all()
        assert left == [other.id]


# {% if cookiecutter.use_auth %}
async def test_sessions_tokens_and_invitations_are_part_of_it_without_their_secrets(
    database: Database, make: Factory
) -> None:
    user = await make.user(email=EMAIL, hashed_password="$argon2id$the-hash")
    async with database.transaction() as session:
        values = {"id": user.id, "email": EMAIL}
        await session.execute(
            text(
                "INSERT INTO user_sessions (user_id, key, secret_digest, address, user_agent,"
                " last_used_at, expires_at)"
                " VALUES (:id, 'k', 's', '192.0.2.1', 'browser', now(), now())"
            ),
            values,
        )
        await session.execute(
            text(
                "INSERT INTO one_time_tokens (purpose, email, digest, expires_at)"
                " VALUES ('invitation', :email, 'd', now())"
            ),
            values,
        )
    async with database.read() as session:
        found = await PersonalDataService(session).export(EMAIL)

    assert found["user_sessions"][0]["address"] == "192.0.2.1"
    assert found["one_time_tokens"][0]["purpose"] == "invitation"
    assert "the-hash" not in str(found)
    binary = {
        c.name for t in metadata.sorted_tables for c in t.c if isinstance(c.type, LargeBinary)
    }
    assert not binary & {name for rows in found.values() for row in rows for name in row}

    async with database.transaction() as session:
        await PersonalDataService(session).erase(EMAIL)
    async with database.read() as session:
        for table in found:
            rows = select(func.count()).select_from(metadata.tables[table])
            assert await session.scalar(rows) == 0


# {% endif %}
@pytest.fixture
def copied_database(
    template_url: URL, worker_id: str, monkeypatch: pytest.MonkeyPatch
) -> Generator[URL]:
    with clone(template_url, f"{template_url.database}_{worker_id}_personal_data") as url:
        monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))
        yield url


def run(*arguments: str, answer: str = "") -> Result:
    return CliRunner().invoke(commands, arguments, input=answer)


@pytest.mark.usefixtures("copied_database")
def test_commands_print_and_erase() -> None:
    run("seed")
    printed = json.loads(run("export-user", "ada@example.com").stdout)
    assert printed["users"][0]["display_name"] == "Ada"

    assert run("erase-user", "ada@example.com", answer="n\n").exit_code == 1
    assert run("export-user", "ada@example.com").exit_code == 0
    assert "Erased." in run("erase-user", "ada@example.com", "--yes").stdout
    assert isinstance(run("export-user", "ada@example.com").exception, NotFoundError)
