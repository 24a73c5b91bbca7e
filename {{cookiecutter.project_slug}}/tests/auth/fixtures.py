from collections.abc import Callable

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.database import Database
from app.core.security.passwords import hash_password
from app.models.user import User
from tests.auth.accounts import EMAIL, MAILBOX, PASSWORD, Mailbox, Opener
from tests.conftest import rolled_back_client
from tests.factories import Factory


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
