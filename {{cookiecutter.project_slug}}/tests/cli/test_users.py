import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import select
from typer.testing import CliRunner

from app.cli import users
from app.cli.commands import CommandError, commands
from app.cli.demo_data import seed
from app.cli.users import (
    DEMO_EMAIL,
    DEMO_PASSWORD,
    create_admin,
    let_demo_sign_in,
    sign_out,
    sign_out_everybody,
)
from app.core.config import Settings, load_settings
from app.core.database.sessions import Database
from app.core.security.passwords import hash_password, verify_password
from app.core.security.settings import PasswordSettings
from app.exceptions import ConflictError, NotFoundError
from app.models.user import User
from app.repositories.auth.account_repo import AccountRepository
from tests.auth.accounts import NEW_PASSWORD, Mailbox, Opener, bearer, is_signed_in, new_user
from tests.factories import Factory

PASSWORD = "correct horse battery"


async def test_created_admin_can_sign_in(database: Database) -> None:
    await create_admin(database, "root@example.com", "Root", PASSWORD)

    async with database.read() as session:
        user, _ = await AccountRepository(session).find_by_email("root@example.com", "")
    assert user is not None
    assert user.role == "admin"
    assert user.is_email_verified
    hashed = user.hashed_password
    assert (
        await verify_password(SecretStr(PASSWORD), hashed, load_settings(PasswordSettings))
    ).matches


async def test_creating_an_administrator_is_audited(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    user = await create_admin(database, "root@example.com", "Root", PASSWORD)

    assert f"admin_created user_id={user.id}" in caplog.messages


@pytest.mark.parametrize("everybody", [False, True])
async def test_users_are_signed_out_at_the_terminal(
    open_client: Opener,
    database: Database,
    make: Factory,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    *,
    everybody: bool,
) -> None:
    ann, bob = await make.user(email="Ann@example.com"), await make.user()
    tokens = [await bearer(make, user, settings) for user in (ann, bob)]

    if everybody:
        ended = await sign_out_everybody(database)
        assert (ended, caplog.messages) == (2, ["everybody_signed_out sessions=2"])
    else:
        await sign_out(database, "ann@EXAMPLE.com")
        assert caplog.messages == [f"signed_out_everywhere user_id={ann.id}"]
    assert [await is_signed_in(open_client(), token) for token in tokens] == [False, not everybody]


async def test_signing_everybody_out_forgets_addresses_that_are_pending(
    open_client: Opener, database: Database, ann: User, settings: Settings, make: Factory
) -> None:
    client = open_client(mail_delivery="smtp")
    patch = {"email": "ann@example.org", "current_password": PASSWORD}
    headers = await bearer(make, ann, settings)
    changed = await client.patch("/users/me", json=patch, headers=headers)
    await sign_out_everybody(database)

    assert changed.json()["pending_email"] == "ann@example.org"
    async with database.read() as session:
        stored = await session.scalar(select(User.pending_email).where(User.id == ann.id))
    assert stored is None


async def test_signing_everybody_out_leaves_invitations(
    client: httpx.AsyncClient, open_client: Opener, database: Database, ann: User, mailbox: Mailbox
) -> None:
    await client.post("/auth/invitations", json={"email": "new@example.com"})
    invitation = mailbox.token()
    await open_client().post("/auth/password-reset", json={"email": ann.email})

    await sign_out_everybody(database)

    reset = {"token": mailbox.token(), "new_password": NEW_PASSWORD}
    body = new_user(email="new@example.com", invitation=invitation)
    refused = await open_client().post("/auth/password-reset/confirm", json=reset)
    registered = await open_client().post("/users", json=body)
    assert (refused.status_code, registered.status_code) == (403, 201)


async def test_unknown_user_cannot_be_signed_out(database: Database) -> None:
    with pytest.raises(NotFoundError, match=r"There is no user ann@example\.com"):
        await sign_out(database, "ann@example.com")


@pytest.mark.parametrize("arguments", [[], ["ann@example.com", "--all"]])
def test_signing_out_takes_an_address_or_all(arguments: list[str]) -> None:
    result = CliRunner().invoke(commands, ["sign-out", *arguments])

    assert result.exit_code == 2
    assert "either the e-mail address of a user or --all" in " ".join(result.output.split())


async def test_registered_user_is_not_promoted(database: Database, make: Factory) -> None:
    await make.user(email="root@example.com")

    with pytest.raises(ConflictError):
        await create_admin(database, "root@example.com", "Root", PASSWORD)


@pytest.mark.parametrize(
    ("email", "password", "named"),
    [
        ("root", PASSWORD, "email"),
        ("root@example.com", "short", "password"),
        ("root@example.com", "long" * 33, "password"),
        ("root@example.com", "password1", "password"),
    ],
)
async def test_wrong_value_is_named_and_a_password_is_not_shown(
    database: Database, email: str, password: str, named: str
) -> None:
    with pytest.raises(CommandError, match=f"^{named}: ") as error:
        await create_admin(database, email, "Root", password)

    assert password not in str(error.value)


async def test_password_policy_is_that_of_the_settings(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSWORD_MIN_LENGTH", "30")
    monkeypatch.setenv("PASSWORD_REFUSE_COMMON", "false")

    with pytest.raises(CommandError, match="at least 30 characters"):
        await create_admin(database, "root@example.com", "Root", PASSWORD)


def test_password_is_asked_for_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://localhost/unused")
    monkeypatch.setattr(users, "with_database", lambda *_: pytest.fail("not reached"))

    result = CliRunner().invoke(
        commands, ["create-admin"], input="root@example.com\nfirst password\nsecond one\n"
    )

    assert result.output.startswith("Database: ")
    assert "do not match" in result.output
    assert "first password" not in result.output


async def test_demo_account_can_sign_in(database: Database) -> None:
    await seed(database)

    shown = await let_demo_sign_in(database)

    assert shown == {"Sign in": f"{DEMO_EMAIL} with the password {DEMO_PASSWORD}"}
    assert await let_demo_sign_in(database) == shown


async def test_changed_demo_account_is_left_as_it_is(database: Database, make: Factory) -> None:
    assert await let_demo_sign_in(database) == {}

    settings = load_settings(PasswordSettings, argon2_memory_kib=32, development=True)
    hashed = await hash_password(SecretStr("another password"), settings)
    await make.user(email=DEMO_EMAIL, hashed_password=hashed)
    assert await let_demo_sign_in(database) == {}


def test_administrator_is_not_asked_for_if_stdin_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)

    with pytest.raises(CommandError, match="use --email and --password"):
        users.create_admin_command()
