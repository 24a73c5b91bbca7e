"""Who may do what, for every route: the table is complete, or the first test fails."""

from collections.abc import Mapping
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from app.core.config import Settings
from app.core.security.passwords import hash_password
from tests.auth.accounts import NEW_PASSWORD, PASSWORD, Opener, bearer, sign_in
from tests.factories import Factory

NEW_USER = {"email": "new@example.com", "display_name": "New", "password": PASSWORD}
IMPORT = {"users": [{"email": "new@example.com", "display_name": "New"}]}
POST = {"title": "Title", "body": "Body"}
MAIL = {"email": "new@example.com"}
PASSWORDS = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
RESET = {"token": "unknown", "new_password": NEW_PASSWORD}
CALLERS = ("anonymous", "other", "owner", "admin")

# The statuses that an anonymous caller, another user, the owner and an admin get.
ACCESS: dict[str, tuple[tuple[int, int, int, int], dict[str, Any] | None]] = {
    "GET /health/live": ((200, 200, 200, 200), None),
    "GET /health/ready": ((200, 200, 200, 200), None),
    "POST /auth/token": ((422, 422, 422, 422), None),
    "POST /auth/refresh": ((422, 422, 422, 422), None),
    "POST /auth/logout": ((422, 422, 422, 422), None),
    "GET /auth/sessions": ((401, 200, 200, 200), None),
    "DELETE /auth/sessions": ((401, 204, 204, 204), None),
    # Not even administrators end the sessions of others, but by taking their access away.
    "DELETE /auth/sessions/{session_id}": ((401, 404, 204, 404), None),
    "POST /auth/password": ((401, 403, 200, 403), PASSWORDS),
    "POST /auth/password-reset": ((202, 202, 202, 202), MAIL),
    "POST /auth/password-reset/confirm": ((403, 403, 403, 403), RESET),
    "POST /auth/verify-email": ((202, 202, 202, 202), MAIL),
    "POST /auth/verify-email/confirm": ((403, 403, 403, 403), {"token": "unknown"}),
    "POST /auth/invitations": ((401, 403, 403, 202), MAIL),
    "POST /users": ((201, 201, 201, 201), NEW_USER),
    "POST /users/import": ((401, 403, 403, 201), IMPORT),
    "GET /users": ((401, 403, 403, 200), None),
    "GET /users/me": ((401, 200, 200, 200), None),
    "PATCH /users/me": ((401, 200, 200, 200), {}),
    "GET /users/{user_id}": ((401, 403, 200, 200), None),
    "PATCH /users/{user_id}": ((401, 403, 200, 200), {}),
    "PATCH /users/{user_id}/access": ((401, 403, 403, 200), {"role": "admin"}),
    "DELETE /users/{user_id}": ((401, 403, 204, 204), None),
    "POST /posts": ((401, 403, 201, 201), POST),
    "GET /posts": ((200, 200, 200, 200), None),
    "GET /posts/{post_id}": ((200, 200, 200, 200), None),
    "PATCH /posts/{post_id}": ((401, 403, 200, 200), {}),
    "DELETE /posts/{post_id}": ((401, 403, 204, 204), None),
}


def test_every_route_is_in_the_table(app: FastAPI) -> None:
    paths = app.openapi()["paths"]

    assert ACCESS.keys() == {
        f"{method.upper()} {path}" for path, methods in paths.items() for method in methods
    }


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("name", ACCESS)
async def test_access(
    open_client: Opener, make: Factory, settings: Settings, name: str, caller: str
) -> None:
    hashed_password = await hash_password(SecretStr(PASSWORD), settings)
    owner = await make.user(hashed_password=hashed_password)
    session_id = (await sign_in(open_client(), owner.email)).json()["session_id"]
    post = await make.post(owner)
    users = {
        "other": await make.user(),
        "owner": owner,
        "admin": await make.user(role="admin"),
    }
    headers: Mapping[str, str] = {} if caller == "anonymous" else bearer(users[caller], settings)
    statuses, body = ACCESS[name]
    method, path = name.format(user_id=owner.id, post_id=post.id, session_id=session_id).split()
    if body is POST:
        body = POST | {"author_id": owner.id}

    response = await open_client().request(method, path, json=body, headers=headers)

    assert response.status_code == statuses[CALLERS.index(caller)]
    if response.status_code == 401:
        assert response.headers["www-authenticate"] == "Bearer"


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
    headers = bearer(await make.user(), settings)
    me = (await open_client().get("/users/me", headers=headers)).json()
    await open_client().delete(f"/users/{me['id']}", headers=headers)

    assert (await open_client().get("/users/me", headers=headers)).status_code == 401


async def test_absent_users_cannot_be_told_from_those_of_others(
    open_client: Opener, make: Factory, settings: Settings
) -> None:
    headers = bearer(await make.user(), settings)

    assert (await open_client().get(f"/users/{2**40}", headers=headers)).status_code == 403


@pytest.mark.parametrize("field", [{"role": "admin"}, {"is_active": True}, {"id": 1}])
async def test_nobody_can_promote_themselves(
    open_client: Opener, make: Factory, settings: Settings, field: dict[str, Any]
) -> None:
    headers = bearer(await make.user(), settings)

    response = await open_client().patch("/users/me", json=field, headers=headers)

    assert response.status_code == 422
