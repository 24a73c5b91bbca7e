"""Shared by tests of accounts: requests of a user, and the mailbox."""

import re
import secrets
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import httpx

from app.core.config import Settings
from app.core.mail.message import Mail
from app.core.security.tokens import AccessToken, create_access_token
from app.models.auth.login_session import LoginSession
from app.models.user import User
from tests.factories import Factory

PASSWORD: Final = "correct horse battery"
NEW_PASSWORD: Final = "staple in the meadow"
EMAIL: Final = "ann@example.com"


class Mailbox:
    """A mailer that keeps mails instead of sending them."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []

    async def send(self, mail: Mail) -> None:
        self.mails.append(mail)

    def subjects(self) -> list[str]:
        return [f"{mail.to}: {mail.subject.partition(': ')[2]}" for mail in self.mails]

    def token(self) -> str:
        """Return the token of the newest mail that has one."""
        links = (re.search(r"#token=(\S+)", mail.text) for mail in reversed(self.mails))
        return next(link[1] for link in links if link)


class Opener(Protocol):
    """Makes clients that have not signed in."""

    def __call__(self, address: str = "127.0.0.1", **settings: object) -> httpx.AsyncClient: ...


async def make_login_session(make: Factory, user: User) -> LoginSession:
    """Write a login session of a user."""
    now = datetime.now(UTC)
    session = LoginSession(
        user_id=user.id,
        key=secrets.token_bytes(16),
        secret_digest=secrets.token_bytes(32),
        address="192.0.2.1",
        user_agent="A browser",
        last_used_at=now,
        expires_at=now + timedelta(days=1),
    )
    return await make(session)


async def make_access_token(
    make: Factory, user: User, settings: Settings, age: timedelta = timedelta()
) -> str:
    """Return an access token of a new session, whose user has signed in `age` ago."""
    login_session = await make_login_session(make, user)
    signed_in_at = int((datetime.now(UTC) - age).timestamp())
    contents = AccessToken(user.id, login_session.id, user.token_generation, signed_in_at, ["pwd"])
    return create_access_token(contents, settings)


async def bearer(
    make: Factory, user: User, settings: Settings, age: timedelta = timedelta()
) -> dict[str, str]:
    """Return the header that signs a user in, with a session that began `age` ago."""
    return {"Authorization": f"Bearer {await make_access_token(make, user, settings, age)}"}


def new_user(**values: object) -> dict[str, object]:
    return {"email": EMAIL, "display_name": "Ann", "password": PASSWORD} | values


async def sign_in(
    client: httpx.AsyncClient, username: str = EMAIL, password: str = PASSWORD
) -> httpx.Response:
    return await client.post(
        "/auth/token",
        data={"grant_type": "password", "username": username, "password": password},
    )


async def refresh(client: httpx.AsyncClient, token: str, **options: str) -> httpx.Response:
    form = {"grant_type": "refresh_token", "refresh_token": token}
    return await client.post("/auth/refresh", data=form, headers=options)


def signed_in(response: httpx.Response) -> dict[str, str]:
    """Return the header with the access token of a response."""
    return {"Authorization": f"Bearer {response.json()['access_token']}"}


async def is_signed_in(client: httpx.AsyncClient, headers: dict[str, str]) -> bool:
    """Return whether an access token is valid."""
    return (await client.get("/users/me", headers=headers)).status_code == 200
