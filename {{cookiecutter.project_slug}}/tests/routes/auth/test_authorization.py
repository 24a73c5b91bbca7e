"""Authorization, beyond the access that `ENDPOINTS` states."""

from typing import Any

import pytest

from app.core.config import Settings
from tests.auth.accounts import Opener, bearer
from tests.factories import Factory

INVALID = 'Bearer error="invalid_token"'


@pytest.mark.parametrize(
    ("header", "challenge"),
    [
        ("", "Bearer"),
        ("Basic YW5uOng=", "Bearer"),
        ("Token x", "Bearer"),
        ("Bearer", INVALID),
        ("Bearer ", INVALID),
        ("Bearer x", INVALID),
        ("Bearer \u00e4", INVALID),
    ],
)
async def test_unknown_caller_is_asked_to_sign_in(
    open_client: Opener, header: str, challenge: str
) -> None:
    headers = [(b"Authorization", header.encode("latin-1"))]

    response = await open_client().get("/users/me", headers=headers)

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == challenge
    assert response.headers["content-type"] == "application/problem+json"


async def test_token_of_a_deleted_user_is_refused(
    open_client: Opener, make: Factory, settings: Settings
) -> None:
    headers = await bearer(make, await make.user(), settings)
    me = (await open_client().get("/users/me", headers=headers)).json()
    await open_client().delete(f"/users/{me['id']}", headers=headers)

    assert (await open_client().get("/users/me", headers=headers)).status_code == 401


async def test_absent_users_cannot_be_told_from_those_of_others(
    open_client: Opener, make: Factory, settings: Settings
) -> None:
    headers = await bearer(make, await make.user(), settings)

    assert (await open_client().get(f"/users/{2**40}", headers=headers)).status_code == 403


@pytest.mark.parametrize("field", [{"role": "admin"}, {"is_active": True}, {"id": 1}])
async def test_users_cannot_promote_themselves(
    open_client: Opener, make: Factory, settings: Settings, field: dict[str, Any]
) -> None:
    headers = await bearer(make, await make.user(), settings)

    response = await open_client().patch("/users/me", json=field, headers=headers)

    assert response.status_code == 422
