"""The callers of the app in tests: signed-in users, and anonymous clients."""

from functools import partial
from typing import Any, Final

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from app.core.config import Settings
from app.core.database import Database
from app.core.security.passwords import hash_password
from app.models.user import User
from tests.auth.accounts import PASSWORD, bearer
from tests.auth.accounts import new_user as new_user
from tests.auth.endpoints import AccountEndpoint
from tests.conftest import http_client
from tests.endpoints import Access, Arrange, ArrangeOn, Endpoint, HeadersOf, Send
from tests.factories import Factory

pytest_plugins = ("tests.auth.fixtures", "tests.auth.secrets_in_logs")

# The status of a request without a user that needs one.
NO_USER: Final = 401

CALLERS: Final = ("anonymous", "another user", "owner", "admin")


@pytest.fixture(scope="session")
def caller_settings() -> dict[str, Any]:
    return {
        "secret_key": SecretStr(
            "only-for-tests-0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLM"
        ),
        # Cheap, because most tests hash a password.
        "argon2_time_cost": 1,
        "argon2_memory_kib": 8,
        "argon2_parallelism": 1,
    }


@pytest.fixture
def headers_of(settings: Settings) -> HeadersOf:
    return partial(_bearer, settings)


async def _bearer(settings: Settings, make: Factory, user: User) -> dict[str, str]:
    return await bearer(make, user, settings)


@pytest.fixture
async def admin(make: Factory) -> User:
    return await make.user(role="admin")


@pytest.fixture
async def admin_headers(make: Factory, admin: User, settings: Settings) -> dict[str, str]:
    return await bearer(make, admin, settings)


@pytest.fixture
async def live_admin_headers(make_live: Factory, settings: Settings) -> dict[str, str]:
    return await bearer(make_live, await make_live.user(role="admin"), settings)


def expected_statuses(endpoint: Endpoint) -> tuple[int, ...]:
    """Return the status that each of `CALLERS` gets."""
    if isinstance(endpoint, AccountEndpoint) and endpoint.statuses:
        return endpoint.statuses
    status = endpoint.status
    return {
        Access.OPEN: (status, status, status, status),
        Access.CALLER: (401, status, status, status),
        Access.OWNER: (401, 403, status, status),
        Access.ADMIN: (401, 403, 403, status),
    }[endpoint.access]


def measured_as(endpoint: Endpoint) -> str:
    """Return the caller as whom statements are counted."""
    if isinstance(endpoint, AccountEndpoint) and endpoint.measured_as:
        return endpoint.measured_as
    return "owner" if endpoint.access in {Access.CALLER, Access.OWNER} else "admin"


def statements_to_identify(caller: str) -> int:
    """Return the number of statements that read the caller."""
    return 0 if caller == "anonymous" else 1


@pytest.fixture
def arrange_on(app: FastAPI, settings: Settings) -> ArrangeOn:
    def arrange_on(database: Database, make: Factory) -> Arrange:
        async def arrange(endpoint: Endpoint, caller: str) -> Send:
            hashed_password = await hash_password(SecretStr(PASSWORD), settings)
            owner = await make.user(hashed_password=hashed_password)
            request = await endpoint.request(make, owner)
            headers = {}
            if caller == "owner":
                headers = await bearer(make, owner, settings)
            elif caller != "anonymous":
                role = "admin" if caller == "admin" else "user"
                headers = await bearer(make, await make.user(role=role), settings)

            async def send(**more: str) -> httpx.Response:
                app.state.database = database
                async with http_client(app, headers=headers | more) as client:
                    return await client.request(**request)

            return send

        return arrange

    return arrange_on


def printed_of_demo_user(url: str) -> str:
    """Sign in as the demo's user, and return what `app dev` prints about them."""
    user, password = "ada@example.com", "only-for-the-demo"
    form = {"grant_type": "password", "username": user, "password": password}
    response = httpx.post(f"{url}/auth/token", data=form)
    assert response.status_code == 200, response.text
    return f"{user} with the password {password}"
