"""Commands for the requests of people about their data; see docs/security/personal-data.md."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.commands import Yes, commands, confirm, with_database
from app.cli.dev_server import database_url

if TYPE_CHECKING:
    from app.core.database import Database

Email = Annotated[str, typer.Argument(help="The person's e-mail address.")]


@commands.command("export-user")
def export_user_command(email: Email) -> None:
    """Print all that is stored about a person, as JSON and without secrets."""
    with database_url() as url:
        found = with_database(url, lambda database: _export(database, email))
    # As bytes, because JSON is UTF-8 (RFC 8259), whatever the encoding of the terminal.
    typer.echo(json.dumps(found, default=str, ensure_ascii=False, indent=2).encode())


@commands.command("erase-user")
def erase_user_command(email: Email, *, yes: Yes = False) -> None:
    """Delete all that is stored about a person. This cannot be undone."""
    with database_url() as url:
        confirm(f"Delete all that this database has about {email}?", yes=yes)
        with_database(url, lambda database: _erase(database, email))
    typer.echo("Erased. Logs and backups keep what they have until they are deleted.")


async def _export(database: Database, email: str) -> dict[str, list[dict[str, Any]]]:
    from app.services.personal_data_service import PersonalDataService

    async with database.read() as session:
        return await PersonalDataService(session).export(email)


async def _erase(database: Database, email: str) -> None:
    from app.services.personal_data_service import PersonalDataService

    async with database.transaction() as session:
        await PersonalDataService(session).erase(email)
