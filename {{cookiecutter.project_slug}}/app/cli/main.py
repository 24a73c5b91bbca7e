"""The command line of the service: `uv run app --help`.

Commands that need a database use the embedded server if `DATABASE_URL` is not set.
"""

import asyncio
import json
import secrets
from typing import Annotated

import typer
from sqlalchemy.exc import SQLAlchemyError

from app.cli.commands import CommandError, commands, with_database
from app.cli.demo_data import seed
from app.cli.dev_server import database_url, require_free_port, serve, single_instance
from app.cli.jobs import jobs as jobs

# {%- if cookiecutter.use_auth +%}
from app.cli.users import create_admin_command as create_admin_command

# {%- endif +%}
from app.core.config import ConfigurationError, DatabaseSettings, Settings, load_settings
from app.core.database.migrations import migrate
from app.core.database.role_limits import set_role_limits
from app.exceptions import AppError
from app.jobs.maintenance import prune
from app.main import create_app


def cli() -> None:
    """Run a command, and print expected errors without a traceback."""
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
    """Serve with reload, on a migrated database with demo data."""
    with single_instance():
        require_free_port(host, port)
        with database_url() as url:
            migrate(url)
            with_database(url, seed)
            serve(host, port, url)


@commands.command("migrate")
def migrate_command() -> None:
    """Migrate the database to the newest revision."""
    with database_url() as url:
        migrate(url)
    typer.echo("The schema is at the newest revision.")


@commands.command("seed")
def seed_command() -> None:
    """Write the demo data, unless it exists."""
    with database_url() as url:
        written = with_database(url, seed)
    if written:
        kinds = " and ".join(f"{number} {kind}" for kind, number in written.items())
        typer.echo(f"Wrote {kinds}.")
    else:
        typer.echo("The demo data already exists; wrote nothing.")


@commands.command("prune")
def prune_command() -> None:
    """Delete expired rows, such as old idempotency keys. Run it daily."""
    with database_url() as url:
        deleted = with_database(url, prune)
    for kind, number in deleted.items():
        typer.echo(f"Deleted {number} expired {kind}.")


@commands.command("set-limits")
def set_limits_command() -> None:
    """Set the time limits for the role of DATABASE_URL. Run it once behind PgBouncer."""
    with database_url() as url:
        statements = asyncio.run(set_role_limits(DatabaseSettings(database_url=url)))
    for statement in statements:
        typer.echo(f"{statement};")
    typer.echo("New connections to the server have these limits. In PgBouncer, run RECONNECT.")


@commands.command("openapi")
def openapi_command() -> None:
    """Print the OpenAPI document."""
    # The document does not depend on secrets or on the database, so placeholders will do.
    required = {
        name: secrets.token_urlsafe(48)
        for name, field in Settings.model_fields.items()
        if field.is_required()
    }
    settings = load_settings(
        Settings, **required | {"database_url": "postgresql://localhost/unused"}
    )
    typer.echo(json.dumps(create_app(settings).openapi(), indent=2))
