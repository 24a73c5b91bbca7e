"""Commands for accounts, and their part in `app prune` and `app dev`."""

import secrets
from typing import Annotated

import typer
from pydantic import ValidationError as InvalidBodyError

from app.cli.commands import DEVELOPMENT_SETTINGS, CommandError, commands, with_database
from app.cli.dev_server import database_url
from app.core.config import load_settings
from app.core.database import Database
from app.core.security.passwords import hash_password
from app.core.security.policy import require_acceptable
from app.core.security.settings import PasswordSettings
from app.exceptions import ValidationError
from app.models.user import User
from app.schemas.account import UserCreate
from app.services.user_service import UserService

# The key is the same for all reloads of one `app dev`.
DEVELOPMENT_SETTINGS.update(
    {"SECRET_KEY": secrets.token_urlsafe(48), "MAIL_DELIVERY": "console", "FRONTEND_URL": "{url}"}
)


@commands.command("create-admin")
def create_admin_command(
    email: Annotated[str, typer.Option(prompt="E-mail address", help="Address to sign in with.")],
    password: Annotated[
        str,
        typer.Option(
            envvar="ADMIN_PASSWORD",
            prompt=True,
            hide_input=True,
            confirmation_prompt=True,
            help="Password to sign in with; prompted for if not given.",
        ),
    ],
    display_name: Annotated[str, typer.Option(help="Display name.")] = "Administrator",
) -> None:
    """Create an administrator."""
    with database_url() as url:
        user = with_database(
            url, lambda database: create_admin(database, email, display_name, password)
        )
    typer.echo(f"Created administrator {user.email} (id {user.id}).")


async def create_admin(database: Database, email: str, display_name: str, password: str) -> User:
    """Create an administrator with a verified address.

    Raises `CommandError` for invalid values, `ValidationError` for a password that the policy
    refuses, and `ConflictError` if the address is taken. It never promotes an existing account,
    which anyone may have registered.
    """
    settings = load_settings(PasswordSettings)
    try:
        data = UserCreate.model_validate(
            {"email": email, "display_name": display_name, "password": password}
        )
        require_acceptable(data.password, settings, field="password")
    except InvalidBodyError as error:
        problems = (f"{item['loc'][0]}: {item['msg']}" for item in error.errors())
        raise CommandError("; ".join(problems)) from None
    except ValidationError as error:
        raise CommandError(f"{error.field}: {error}") from None
    values = {
        "email": data.email,
        "display_name": data.display_name,
        "hashed_password": await hash_password(data.password, settings),
        "is_email_verified": True,
        "role": "admin",
    }
    async with database.transaction() as session:
        return await UserService(session).create_user(values)
