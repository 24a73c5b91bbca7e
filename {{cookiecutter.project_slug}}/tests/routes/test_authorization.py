"""Who may do what, for every route: the table is complete, or the first test fails."""

from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.core.config import Settings
from app.core.database import Database
from tests.conftest import bearer, http_client
from tests.factories import Factory

NEW_USER = {"email": "new@example.com", "display_name": "New", "password": "correct horse"}
IMPORT = {"users": [{"email": "new@example.com", "display_name": "New"}]}
POST = {"title": "Title", "body": "Body"}
CALLERS = ("anonymous", "other", "owner", "admin")

# The statuses that an anonymous caller, another user, the owner and an admin get.
ACCESS: dict[str, tuple[tuple[int, int, int, int], dict[str, Any] | None]] = {
    "GET /health/live": ((200, 200, 200, 200), None),
    "GET /health/ready": ((200, 200, 200, 200), None),
    "POST /auth/token": ((422, 422, 422, 422), None),
    "POST /users": ((201, 201, 201, 201), NEW_USER),
    "POST /users/import": ((401, 403, 403, 201), IMPORT),
    "GET /users": ((401, 403, 403, 200), None),
    "GET /users/me": ((401, 200, 200, 200), None),
    "PATCH /users/me": ((401, 200, 200, 200), {}),
    "GET /users/{user_id}": ((401, 403, 200, 200), None),
    "PATCH /users/{user_id}": ((401, 403, 200, 200), {}),
    "DELETE /users/{user_id}": ((401, 403, 204, 204), None),
    "POST /posts": ((401, 403, 201, 201), POST),
    "GET /posts": ((200, 200, 200, 200), None),
    "GET /posts/{post_id}": ((200, 200, 200, 200), None),
    "PATCH /posts/{post_id}": ((401, 403, 200, 200), {}),
    "DELETE /posts/{post_id}": ((401, 403, 204, 204), None),
}


@pytest.fixture
async def open_client(app: FastAPI, database: Database) -> httpx.AsyncClient:
    """A client that has not signed in."""
    app.state.database = database
    return http_client(app)


def test_every_route_is_in_the_table(app: FastAPI) -> None:
    paths = app.openapi()["paths"]

    assert ACCESS.keys() == {
        f"{method.upper()} {path}" for path, methods in paths.items() for method in methods
    }


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("name", ACCESS)
async def test_access(
    open_client: httpx.AsyncClient, make: Factory, settings: Settings, name: str, caller: str
) -> None:
    owner = await make.user()
    post = await make.post(owner)
    users = {
        "other": await make.user(),
        "owner": owner,
        "admin": await make.user(role="admin"),
    }
    headers: Mapping[str, str] = {} if caller == "anonymous" else bearer(users[caller], settings)
    statuses, body = ACCESS[name]
    method, path = name.format(user_id=owner.id, post_id=post.id).split()
    if body is POST:
        body = POST | {"author_id": owner.id}

    response = await open_client.request(method, path, json=body, headers=headers)

    assert response.status_code == statuses[CALLERS.index(caller)]
    if response.status_code == 401:
        assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Bearer x", "Basic YW5uOng=", "Token x", "Bearer \u00e4"],
)
async def test_unknown_caller_is_asked_to_sign_in(
    open_client: httpx.AsyncClient, header: str
) -> None:
    headers = [(b"Authorization", header.encode("latin-1"))]

    response = await open_client.get("/users/me", headers=headers)

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers["content-type"] == "application/problem+json"


async def test_token_of_a_deleted_user_is_refused(
    open_client: httpx.AsyncClient, make: Factory, settings: Settings
) -> None:
    headers = bearer(await make.user(), settings)
    me = (await open_client.get("/users/me", headers=headers)).json()
    await open_client.delete(f"/users/{me['id']}", headers=headers)

    assert (await open_client.get("/users/me", headers=headers)).status_code == 401


async def test_absent_users_cannot_be_told_from_those_of_others(
    open_client: httpx.AsyncClient, make: Factory, settings: Settings
) -> None:
    headers = bearer(await make.user(), settings)

    assert (await open_client.get(f"/users/{2**40}", headers=headers)).status_code == 403


@pytest.mark.parametrize("field", [{"role": "admin"}, {"is_active": True}, {"id": 1}])
async def test_nobody_can_promote_themselves(
    open_client: httpx.AsyncClient, make: Factory, settings: Settings, field: dict[str, Any]
) -> None:
    headers = bearer(await make.user(), settings)

    response = await open_client.patch("/users/me", json=field, headers=headers)

    assert response.status_code == 422
