"""The command line of the service: `uv run app --help`.

Without `DATABASE_URL` every command that needs a database uses the embedded one.
"""

import asyncio
import json
import secrets
from typing import Annotated

import typer
from sqlalchemy.exc import SQLAlchemyError

from app.cli.commands import CommandError, commands, prune, with_database
from app.cli.demo_data import seed
from app.cli.dev_server import database_url, only_one, require_free_port, serve

# {%- if cookiecutter.use_auth +%}
from app.cli.users import create_admin_command as create_admin_command

# {%- endif +%}
from app.core.config import ConfigurationError, DatabaseSettings, Settings, load_settings
from app.core.database.migrations import migrate
from app.core.database.role_limits import set_role_limits
from app.exceptions import AppError
from app.main import create_app


def cli() -> None:
    """Run a command; show an expected error as one message, without a traceback."""
    try:
        commands()
    except (AppError, ConfigurationError, CommandError) as error:
        message = str(error)
    except (OSError, SQLAlchemyError) as error:
        message = f"The database cannot be used: {error}"
    else:
        return
    typer.secho(f"Error: {message}", fg=typer.colors.RED, err=True)
    raise SystemExit(1)


@commands.command("dev")
def dev_command(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8000,
) -> None:
    """Serve with reload: database, migrations and demo data included."""
    with only_one():
        require_free_port(host, port)
        with database_url() as url:
            migrate(url)
            with_database(url, seed)
            serve(host, port, url)


@commands.command("migrate")
def migrate_command() -> None:
    """Bring the database's schema to the newest revision."""
    with database_url() as url:
        migrate(url)
    typer.echo("The schema is at the newest revision.")


@commands.command("seed")
def seed_command() -> None:
    """Write demo data, unless it is there."""
    with database_url() as url:
        written = with_database(url, seed)
    if written:
        kinds = " and ".join(f"{number} {kind}" for kind, number in written.items())
        typer.echo(f"Wrote {kinds}.")
    else:
        typer.echo("The demo data is there already; wrote nothing.")


@commands.command("prune")
def prune_command() -> None:
    """Delete what has expired, such as old idempotency keys. Run it daily."""
    with database_url() as url:
        deleted = with_database(url, prune)
    for kind, number in deleted.items():
        typer.echo(f"Deleted {number} expired {kind}.")


@commands.command("set-limits")
def set_limits_command() -> None:
    """Set the database's time limits for the role of DATABASE_URL. Needed once behind PgBouncer."""
    with database_url() as url:
        statements = asyncio.run(set_role_limits(DatabaseSettings(database_url=url)))
    for statement in statements:
        typer.echo(f"{statement};")
    typer.echo("New connections to the server have these limits. In PgBouncer, run RECONNECT.")


@commands.command("openapi")
def openapi_command() -> None:
    """Print the OpenAPI document."""
    # The document depends on no secret and on no database, so neither need be configured.
    required = {
        name: secrets.token_urlsafe(48)
        for name, field in Settings.model_fields.items()
        if field.is_required()
    }
    settings = load_settings(
        Settings, **required | {"database_url": "postgresql://localhost/unused"}
    )
    typer.echo(json.dumps(create_app(settings).openapi(), indent=2))
