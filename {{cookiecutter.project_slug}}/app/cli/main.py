"""The command line of the service: `uv run app --help`. An import registers the commands of a module.

Commands that need a database use the embedded server if `DATABASE_URL` is not set. They import the
service when they run, so that `app --help` is quick.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.commands import (
    DEVELOPMENT_STEPS,
    Yes,
    commands,
    confirm,
    error_sentence,
    with_database,
)
from app.cli.dev_server import (
    database_url,
    require_free_port,
    serve,
    single_instance,
    uses_embedded_server,
)
from app.cli.doctor.command import doctor_command as doctor_command
from app.cli.jobs import jobs as jobs
from app.cli.jobs import worker_command as worker_command
from app.cli.personal_data import erase_user_command as erase_user_command
from app.cli.personal_data import export_user_command as export_user_command
from app.cli.recipes import recipe as recipe
from app.cli.recipes import recipes_command as recipes_command
from app.cli.resources import new_command as new_command
from app.cli.resources import remove_command as remove_command
from app.cli.resources import rename_command as rename_command
from app.cli.resources import revision_command as revision_command
from app.cli.routes import openapi_command as openapi_command
from app.cli.routes import routes_command as routes_command

# {%- if cookiecutter.use_auth +%}
from app.cli.users import create_admin_command as create_admin_command
from app.cli.users import sign_out_command as sign_out_command

# {%- endif +%}
from app.core.observability.logs import configure_logging

if TYPE_CHECKING:
    from sqlalchemy import URL


def cli() -> None:
    """Run a command. Errors are printed without a traceback, unless `--traceback` is given."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--traceback"]
    try:
        configure_logging("stderr")  # results are on stdout
        commands(arguments)
    except Exception as error:
        if "--traceback" in sys.argv:
            raise
        typer.secho(f"Error: {error_sentence(error)}", fg=typer.colors.RED, err=True)
        raise SystemExit(1) from None


@commands.command("dev")
def dev_command(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8000,
) -> None:
    """Serve with reload, on a migrated database. The embedded server gets demo data."""
    from app.core.database.migrations import migrate

    with single_instance():
        require_free_port(host, port)
        with database_url() as url:
            migrate(url)
            serve(host, port, url, seed_embedded_server(url))


def seed_embedded_server(url: URL) -> dict[str, str]:
    """Write the demo data and return what to show of it. Never touches another database.

    Errors do not stop `app dev`: a model may be ahead of a migration that is still to be written.
    """
    from sqlalchemy.exc import SQLAlchemyError

    from app.cli.demo_data import seed
    from app.exceptions import AppError

    if not uses_embedded_server():
        return {}
    shown: dict[str, str] = {}
    try:
        with_database(url, seed)
        for step in DEVELOPMENT_STEPS:
            shown |= with_database(url, step)
    except (AppError, SQLAlchemyError) as error:
        typer.secho(
            f"The demo data was not written: {error_sentence(error)}\n"
            'If a model has changed, write its migration: uv run app revision -m "..."',
            fg=typer.colors.YELLOW,
            err=True,
        )
    return shown


@commands.command("check")
def check_command() -> None:
    """Check the settings of the service, without starting it."""
    from app.core.config import Settings, load_settings

    settings = load_settings(Settings)
    # Imported after that, as in `app.asgi`. It refuses more, such as variables of libraries.
    from app.main import create_app

    create_app(settings)
    typer.echo("The settings are valid.")


@commands.command("migrate")
def migrate_command() -> None:
    """Migrate the database to the newest revision."""
    from app.core.database.migrations import migrate

    with database_url() as url:
        migrate(url)
    typer.echo("The schema is at the newest revision.")


@commands.command("seed")
def seed_command(*, yes: Yes = False) -> None:
    """Write the demo data, unless it exists. Asks before it writes to DATABASE_URL."""
    from app.cli.demo_data import seed

    with database_url() as url:
        confirm("Write the demo data to this database?", yes=yes or uses_embedded_server())
        written = with_database(url, seed)
    if written:
        kinds = " and ".join(f"{number} {kind}" for kind, number in written.items())
        typer.echo(f"Wrote {kinds}.")
    else:
        typer.echo("The demo data already exists; wrote nothing.")


@commands.command("prune")
def prune_command() -> None:
    """Delete expired rows, such as old idempotency keys. Workers do it every night."""
    from app.jobs.maintenance import prune

    with database_url() as url:
        pruned = with_database(url, prune)
    for kind, number in pruned.deleted.items():
        typer.echo(f"Deleted {number} expired {kind}.")
    pruned.require_success()


@commands.command("set-limits")
def set_limits_command() -> None:
    """Set the time limits for the role of DATABASE_URL. Run it once behind PgBouncer."""
    from app.core.config import DatabaseSettings, load_settings
    from app.core.database.drivers import run
    from app.core.database.role_limits import set_role_limits

    with database_url() as url:
        statements = run(url, set_role_limits(load_settings(DatabaseSettings, database_url=url)))
    for statement in statements:
        typer.echo(f"{statement};")
    typer.echo("New connections to the server have these limits. In PgBouncer, run RECONNECT.")


@commands.command("grant")
def grant_command(
    password: Annotated[
        str,
        typer.Option(
            envvar="API_POSTGRES_PASSWORD",
            help="Password of the role; by default the one in DATABASE_URL.",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Create the role of DATABASE_URL, and let it read and write rows. Run it after `migrate`."""
    from app.core.config import DatabaseSettings, load_settings
    from app.core.database.drivers import run
    from app.core.database.grants import grant_to_service, schemas_of
    from app.core.env_file import configured
    from app.models import metadata

    settings = load_settings(DatabaseSettings)
    if not password:
        password, _ = configured("API_POSTGRES_PASSWORD") or ("", "")
    schemas = schemas_of(metadata)
    tables = metadata.tables.values()
    role = run(settings.database_url, grant_to_service(settings, password, schemas, tables))
    typer.echo(f"{role} may read and write rows.")
