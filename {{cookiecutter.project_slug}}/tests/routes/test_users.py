import asyncio
import json
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.models.idempotency_key import IdempotencyKey
from app.models.user import User
from tests.callers import new_user
from tests.endpoints import ADMIN, OPEN, OWNER, Endpoint
from tests.factories import Factory


async def make_owner(_: Factory, owner: User) -> User:
    return owner


PATH_PARAMETERS = {"user_id": make_owner}

ENDPOINTS = [
    Endpoint("POST /users", OPEN, statements=1, status=201, json=new_user()),
    Endpoint("GET /users", ADMIN, statements=1),
    Endpoint("GET /users", ADMIN, statements=1, query="q=ann"),
    Endpoint("GET /users/{user_id}", OWNER, statements=1),
    Endpoint("PATCH /users/{user_id}", OWNER, statements=2, json={"display_name": "Other"}),
    # One statement deletes the responses that are stored for the user.
    Endpoint("DELETE /users/{user_id}", OWNER, statements=3, status=204),
]


async def test_created_user_is_returned_with_its_location(client: httpx.AsyncClient) -> None:
    response = await client.post("/users", json=new_user())

    assert response.status_code == 201
    user = response.json()
    assert user["email"] == "ann@example.com"
    assert user["is_active"] is True
    assert user["created_at"] == user["updated_at"]
    assert response.headers["location"] == f"/users/{user['id']}"
    read = await client.get(response.headers["location"])
    assert (read.json(), read.headers["etag"]) == (user, response.headers["etag"])


async def test_stored_response_that_created_a_user_goes_with_the_user(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    created = await client.post("/users", json=new_user(), headers={"Idempotency-Key": "1"})
    stored = select(func.count()).select_from(IdempotencyKey)
    assert await session.scalar(stored) == 1

    assert (await client.delete(created.headers["location"])).status_code == 204
    assert await session.scalar(stored) == 0


async def test_trailing_slash_is_another_path_and_no_redirect(client: httpx.AsyncClient) -> None:
    response = await client.post("/users/", json=new_user())

    assert response.status_code == 404


async def test_text_around_a_name_is_trimmed(client: httpx.AsyncClient) -> None:
    response = await client.post("/users", json=new_user(display_name="  Ann  "))

    assert response.json()["display_name"] == "Ann"


@pytest.mark.parametrize("email", ["ann@example.com", "ANN@Example.com"])
async def test_duplicate_email_is_a_conflict_whatever_its_case(
    client: httpx.AsyncClient, email: str
) -> None:
    await client.post("/users", json=new_user())

    response = await client.post("/users", json=new_user(email=email))

    assert response.status_code == 409
    problem = response.json()
    assert problem["code"] == "EMAIL_TAKEN"
    assert problem["errors"][0]["loc"] == ["body", "email"]
    assert response.json()["detail"] == "E-mail address ann@example.com is already registered"


async def test_duplicate_email_is_one_conflict_even_in_a_race(
    live_client: httpx.AsyncClient,
) -> None:
    responses = await asyncio.gather(
        *(live_client.post("/users", json=new_user()) for _ in range(8))
    )

    assert sorted(response.status_code for response in responses) == [201] + [409] * 7


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        (new_user(email="ann"), ["body", "email"]),
        (new_user(email=f"{'a' * 250}@example.com"), ["body", "email"]),
        (new_user(email="ann\u0000@example.com"), ["body", "email"]),
        (new_user(display_name=""), ["body", "display_name"]),
        (new_user(display_name="   "), ["body", "display_name"]),
        (new_user(display_name="\x1c\x85\u3000\ufeff"), ["body", "display_name"]),
        (new_user(display_name="x" * 101), ["body", "display_name"]),
        # The limit that OpenAPI names is one of the text as it was sent.
        (new_user(display_name="x" * 100 + " "), ["body", "display_name"]),
        (new_user(display_name="nul \u0000"), ["body", "display_name"]),
        (new_user(display_name="Ann\nINFO:     app.users: deleted"), ["body", "display_name"]),
        (new_user(display_name="nnA \u202e"), ["body", "display_name"]),
        ({"email": "a@example.com", "is_active": False}, ["body", "is_active"]),
        ({"email": "a@example.com", "id": 1}, ["body", "id"]),
        ({}, ["body", "email"]),
        ([], ["body"]),
    ],
)
async def test_invalid_user_is_refused_with_the_place(
    client: httpx.AsyncClient, body: Any, loc: list[str]
) -> None:
    response = await client.post("/users", json=body)

    assert response.status_code == 422
    assert loc in [error["loc"] for error in response.json()["errors"]]


async def test_text_that_is_no_unicode_is_refused(client: httpx.AsyncClient) -> None:
    body = json.dumps(new_user(display_name="lone surrogate \ud800"))

    response = await client.post(
        "/users", content=body, headers={"Content-Type": "application/json"}
    )

    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"] == ["body", "display_name"]


async def test_patch_changes_only_what_it_names(client: httpx.AsyncClient, make: Factory) -> None:
    user = await make.user(display_name="Before")

    response = await client.patch(f"/users/{user.id}", json={"display_name": "After"})

    assert response.status_code == 200
    assert response.json()["display_name"] == "After"
    assert response.json()["email"] == user.email
    assert response.json() == (await client.get(f"/users/{user.id}")).json()


async def test_patch_moves_updated_at(live_client: httpx.AsyncClient) -> None:
    user = (await live_client.post("/users", json=new_user())).json()

    changed = (await live_client.patch(f"/users/{user['id']}", json={"display_name": "A"})).json()

    assert changed["created_at"] == user["created_at"]
    assert changed["updated_at"] > user["updated_at"]


async def test_empty_patch_changes_nothing(client: httpx.AsyncClient, make: Factory) -> None:
    user = await make.user()
    before = (await client.get(f"/users/{user.id}")).json()

    response = await client.patch(f"/users/{user.id}", json={})

    assert (response.status_code, response.json()) == (200, before)


async def test_patch_with_null_is_refused(client: httpx.AsyncClient, make: Factory) -> None:
    user = await make.user()

    response = await client.patch(f"/users/{user.id}", json={"display_name": None})

    assert response.status_code == 422
    (error,) = response.json()["errors"]
    assert error["loc"] == ["body", "display_name"]
    assert error["detail"] == "must not be null; omit the field to leave it unchanged"


async def test_patch_to_a_taken_email_is_a_conflict(
    client: httpx.AsyncClient, make: Factory
) -> None:
    taken, user = await make.user(), await make.user()

    response = await client.patch(f"/users/{user.id}", json={"email": taken.email.upper()})

    assert response.status_code == 409


async def test_deleted_user_is_gone(client: httpx.AsyncClient, make: Factory) -> None:
    user = await make.user()

    response = await client.delete(f"/users/{user.id}")

    assert (response.status_code, response.content) == (204, b"")
    assert (await client.get(f"/users/{user.id}")).status_code == 404


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
@pytest.mark.parametrize("user_id", [2**31, 2**53 - 1])
async def test_unknown_user_is_not_found(
    client: httpx.AsyncClient, method: str, user_id: int
) -> None:
    response = await client.request(
        method, f"/users/{user_id}", json={} if method == "PATCH" else None
    )

    assert response.status_code == 404
    assert response.json()["detail"] == f"User {user_id} not found"


@pytest.mark.parametrize("user_id", ["0", str(2**53), str(10**18)])
async def test_impossible_id_is_refused(client: httpx.AsyncClient, user_id: str) -> None:
    response = await client.get(f"/users/{user_id}")

    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"] == ["path", "user_id"]


@pytest.mark.parametrize(
    "path", ["/users/x", "/users/-1", "/users/1.5", f"/users/{10**30}", f"/users/{'1' * 5000}"]
)
async def test_path_that_names_no_id_is_unknown(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 404


async def test_patch_schema_says_optional_and_not_nullable(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    schema = document["components"]["schemas"]["UserPatch"]

    assert "required" not in schema
    assert schema["properties"]["email"] == {
        "type": "string",
        "format": "email",
        "title": "Email",
    }


async def test_pages_hold_every_user_once_in_order(
    client: httpx.AsyncClient, make: Factory
) -> None:
    expected = [(await make.user()).id for _ in range(7)]
    seen: list[int] = []
    url: str | None = "/users?limit=3"
    while url:
        response = await client.get(url)
        seen += [user["id"] for user in response.json()["items"]]
        url = response.links["next"]["url"] if "next" in response.links else None

    assert [user_id for user_id in seen if user_id in expected] == expected
    assert len(seen) == len(set(seen))
