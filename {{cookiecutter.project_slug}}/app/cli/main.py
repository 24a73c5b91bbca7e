"""The command line of the service: `uv run app --help`.

Without `DATABASE_URL` every command that needs a database uses the embedded one.
"""

import asyncio
import json

# {%- if cookiecutter.use_auth +%}
import secrets

# {%- endif +%}
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer
from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError

from app.cli.demo_data import seed
from app.cli.dev_server import (
    CommandError,
    database_url,
    only_one,
    require_free_port,
    serve,
)

# {%- if cookiecutter.use_auth +%}
from app.cli.users import create_admin, prune_accounts

# {%- endif +%}
from app.core.config import ConfigurationError, DatabaseSettings, Settings, load_settings
from app.core.database import Database
from app.core.database.migrations import migrate
from app.exceptions import AppError
from app.main import create_app

# {%- if cookiecutter.use_auth +%}
from app.services.auth.rate_limit_service import RateLimitService

# {%- endif +%}
from app.services.idempotency_service import IdempotencyService

ResultT = TypeVar("ResultT")

commands = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    help="Run and maintain the service.",
)


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


async def prune(database: Database) -> dict[str, int]:
    """Delete what has expired, and return how many there were of each kind."""
    async with database.transaction() as session:
        keys = await IdempotencyService(session, database.settings).prune()
    return {
        "idempotency keys": keys,
        # {% if cookiecutter.use_auth %}
        "rate limits": await RateLimitService(database).prune(),
        **await prune_accounts(database),
        # {% endif %}
    }


def with_database(url: URL, work: Callable[[Database], Awaitable[ResultT]]) -> ResultT:
    """Run a coroutine function with a database that is open for just as long."""

    async def run() -> ResultT:
        database = Database(DatabaseSettings(database_url=url))
        try:
            return await work(database)
        finally:
            await database.dispose()

    return asyncio.run(run())


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


# {% if cookiecutter.use_auth %}
@commands.command("create-admin")
def create_admin_command(
    email: Annotated[str, typer.Option(prompt="E-mail address", help="To sign in with.")],
    password: Annotated[
        str,
        typer.Option(
            envvar="ADMIN_PASSWORD",
            prompt=True,
            hide_input=True,
            confirmation_prompt=True,
            help="8 to 128 characters; asked for if not given.",
        ),
    ],
    display_name: Annotated[str, typer.Option(help="Name to show.")] = "Administrator",
) -> None:
    """Create an account with the role admin."""
    with database_url() as url:
        user = with_database(
            url, lambda database: create_admin(database, email, display_name, password)
        )
    typer.echo(f"Created administrator {user.email} (id {user.id}).")


# {% endif %}
@commands.command("openapi")
def openapi_command() -> None:
    """Print the OpenAPI document."""
    # The document depends on no secret and on no database, so neither need be configured.
    settings = load_settings(
        Settings,
        database_url="postgresql://localhost/unused",
        # {% if cookiecutter.use_auth %}
        secret_key=secrets.token_urlsafe(48),
        # {% endif %}
    )
    typer.echo(json.dumps(create_app(settings).openapi(), indent=2))
