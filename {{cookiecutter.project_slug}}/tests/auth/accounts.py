"""What tests of signing in share: an account, what its owner sends, and the mail they get."""

import re
from collections.abc import Callable
from typing import Final, Protocol

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.database.sessions import Database
from app.core.mail.mailer import Mail
from app.core.security.passwords import hash_password
from app.core.security.tokens import create_access_token
from app.models.user import User
from tests.conftest import rolled_back_client
from tests.factories import Factory

PASSWORD: Final = "correct horse battery"
NEW_PASSWORD: Final = "staple in the meadow"
EMAIL: Final = "ann@example.com"


class Mailbox:
    """A mailer that keeps what it is given."""

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


MAILBOX: Final = Mailbox()


@pytest.fixture
def mailbox() -> Mailbox:
    """The mailbox of all apps that `app_with` makes, emptied."""
    MAILBOX.mails.clear()
    return MAILBOX


@pytest.fixture
async def ann(make: Factory, settings: Settings) -> User:
    """A user who can sign in."""
    hashed_password = await hash_password(SecretStr(PASSWORD), settings)
    return await make.user(email=EMAIL, hashed_password=hashed_password)


@pytest.fixture
def open_client(
    app_with: Callable[..., FastAPI],
    database: Database,
    session: AsyncSession,
) -> Opener:
    """Make a client at a network address, of the app or of one with other settings."""

    def make_client(address: str = "127.0.0.1", **changes: object) -> httpx.AsyncClient:
        return rolled_back_client(app_with(**changes), database, session, address=address)

    return make_client


def bearer(user: User, settings: Settings) -> dict[str, str]:
    """Return the header that signs a user in."""
    token = create_access_token(user.id, user.token_generation, settings)
    return {"Authorization": f"Bearer {token}"}


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


def signed_in(answer: httpx.Response) -> dict[str, str]:
    """Return the header that an answer with tokens lets its receiver send."""
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def is_signed_in(client: httpx.AsyncClient, headers: dict[str, str]) -> bool:
    """Say whether an access token still counts."""
    return (await client.get("/users/me", headers=headers)).status_code == 200
