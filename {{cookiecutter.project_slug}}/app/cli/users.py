"""Commands for accounts, and their part in `app dev`."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Annotated, Final

import typer

from app.cli.commands import (
    DEVELOPMENT_SETTINGS,
    DEVELOPMENT_STEPS,
    CommandError,
    commands,
    require_stdin,
    with_database,
)
from app.cli.dev_server import database_url

if TYPE_CHECKING:
    from app.core.database import Database
    from app.models.user import User

# The account of the demo data that can sign in, on the embedded server only.
DEMO_EMAIL: Final = "ada@example.com"
DEMO_PASSWORD: Final = "only-for-the-demo"

# The key is the same for all reloads of one `app dev`.
DEVELOPMENT_SETTINGS.update(
    {"SECRET_KEY": secrets.token_urlsafe(48), "MAIL_DELIVERY": "console", "FRONTEND_URL": "{url}"}
)


@commands.command("create-admin")
def create_admin_command(
    email: Annotated[
        str, typer.Option(help="Address to sign in with; asked for if not given.")
    ] = "",
    password: Annotated[
        str,
        typer.Option(
            envvar="ADMIN_PASSWORD", help="Password to sign in with; asked for if not given."
        ),
    ] = "",
    display_name: Annotated[str, typer.Option(help="Display name.")] = "Administrator",
) -> None:
    """Create an administrator."""
    if not (email and password):
        require_stdin("--email and --password")
    with database_url() as url:
        email = email or typer.prompt("E-mail address")
        password = password or typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        user = with_database(
            url, lambda database: create_admin(database, email, display_name, password)
        )
    typer.echo(f"Created administrator {user.email} (id {user.id}).")


async def create_admin(database: Database, email: str, display_name: str, password: str) -> User:
    """Create an administrator with a verified address.

    Raises `CommandError` for invalid values and for a password that the policy refuses, and
    `EmailTakenError` if the address is taken: it never promotes an existing account, which anyone may
    have registered.
    """
    from pydantic import ValidationError as InvalidBodyError

    from app.core.config import load_settings
    from app.core.security.audit import audit_on_commit
    from app.core.security.breaches import require_not_breached
    from app.core.security.passwords import hash_password
    from app.core.security.policy import require_acceptable
    from app.core.security.settings import PasswordSettings
    from app.exceptions import ValidationError
    from app.schemas.account import UserCreate
    from app.services.user_service import UserService

    settings = load_settings(PasswordSettings)
    try:
        data = UserCreate.model_validate(
            {"email": email, "display_name": display_name, "password": password}
        )
        about = (data.email, data.display_name)
        require_acceptable(data.password, settings, field="password", about=about)
        await require_not_breached(data.password, settings, field="password")
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
        user = await UserService(session).create_user(values)
        audit_on_commit(session, "admin_created", user_id=user.id)
    return user


@commands.command("sign-out")
def sign_out_command(
    email: Annotated[
        str, typer.Argument(help="The user's e-mail address.", show_default=False)
    ] = "",
    *,
    everybody: Annotated[
        bool, typer.Option("--all", help="Sign out all users instead of one.")
    ] = False,
) -> None:
    """End all sessions of a user, or of all users. Their access tokens are revoked at once."""
    if bool(email) == everybody:
        raise typer.BadParameter("give either the e-mail address of a user or --all")
    with database_url() as url:
        if everybody:
            ended = with_database(url, sign_out_everybody)
            typer.echo(f"Signed out all users: ended {ended} sessions.")
        else:
            with_database(url, lambda database: sign_out(database, email))
            typer.echo(f"Signed out {email} everywhere.")


async def sign_out(database: Database, email: str) -> None:
    """End all sessions of a user. Raises `NotFoundError`."""
    from app.services.auth.revocation_service import RevocationService

    async with database.transaction() as session:
        await RevocationService(session).sign_out(email)


async def sign_out_everybody(database: Database) -> int:
    """End the sessions of all users, and return the number."""
    from app.services.auth.revocation_service import RevocationService

    async with database.transaction() as session:
        return await RevocationService(session).sign_out_everybody()


async def let_demo_sign_in(database: Database) -> dict[str, str]:
    """Make the demo account an administrator with a password, and return how to sign in.

    Leaves an existing password unchanged, and returns nothing unless it is the demo's.
    """
    from pydantic import SecretStr

    from app.core.config import load_settings
    from app.core.security.passwords import hash_password, verify_password
    from app.core.security.settings import PasswordSettings
    from app.repositories.auth.account_repo import AccountRepository

    settings, password = load_settings(PasswordSettings), SecretStr(DEMO_PASSWORD)
    hashed = await hash_password(password, settings)
    async with database.transaction() as session:
        accounts = AccountRepository(session)
        user, _ = await accounts.find_by_email(DEMO_EMAIL, "")
        if user and user.hashed_password is None:
            values = {"hashed_password": hashed, "role": "admin", "is_email_verified": True}
            user = await accounts.update(user, values)
    if user and (await verify_password(password, user.hashed_password, settings)).matches:
        return {"Sign in": f"{DEMO_EMAIL} with the password {DEMO_PASSWORD}"}
    return {}


DEVELOPMENT_STEPS.append(let_demo_sign_in)
