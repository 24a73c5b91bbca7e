from collections.abc import Callable, Generator

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.database import Database
from app.core.security.passwords import hash_password
from app.jobs.auth.mails import MailJobs
from app.models.user import User
from tests.auth.accounts import EMAIL, PASSWORD, Mailbox, Opener
from tests.conftest import rolled_back_client
from tests.factories import Factory
from tests.inline_jobs import AFTER_RESPONSES


@pytest.fixture
def mailbox() -> Generator[Mailbox]:
    """A mailbox that gets the mails of a request as soon as it has its response."""
    mailbox = Mailbox()
    AFTER_RESPONSES.extend(MailJobs(mailbox).kinds())
    yield mailbox
    AFTER_RESPONSES.clear()


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
    """Create a client at an IP address, of an app with the given settings."""

    def make_client(address: str = "127.0.0.1", **changes: object) -> httpx.AsyncClient:
        return rolled_back_client(app_with(**changes), database, session, address=address)

    return make_client
