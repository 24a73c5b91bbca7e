"""What tests of signing in share: what the owner of an account sends, and the mail they get."""

import re
from typing import Final, Protocol

import httpx

from app.core.config import Settings
from app.core.mail.message import Mail
from app.core.security.tokens import create_access_token
from app.models.user import User

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


# That of all apps that `app_with` makes; the fixture `mailbox` empties it.
MAILBOX: Final = Mailbox()


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
