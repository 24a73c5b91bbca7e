"""Posts of a caller who is known."""

import httpx
import pytest
from fastapi import FastAPI

from app.core.config import Settings
from app.models.user import User
from tests.auth.accounts import Opener, bearer
from tests.factories import Factory


async def test_author_of_a_post_is_the_caller_by_default(
    open_client: Opener, make: Factory, settings: Settings
) -> None:
    ann, bob = await make.user(), await make.user()
    client, headers = open_client(), await bearer(make, ann, settings)
    text = {"title": "Title", "body": "Body"}

    own = await client.post("/posts", json=text, headers=headers)
    other = await client.post("/posts", json=text | {"author_id": bob.id}, headers=headers)
    anonymous = await client.post("/posts", json=text)

    assert (own.status_code, own.json()["author_id"]) == (201, ann.id)
    assert (other.status_code, anonymous.status_code) == (403, 401)


def test_document_shows_the_author_as_optional(app: FastAPI) -> None:
    body = app.openapi()["paths"]["/posts"]["post"]["requestBody"]["content"]["application/json"]
    schema = app.openapi()["components"]["schemas"][body["schema"]["$ref"].rpartition("/")[2]]

    assert schema["required"] == ["title", "body"]


@pytest.mark.parametrize(("caller", "status"), [(None, 401), ("user", 403), ("admin", 422)])
async def test_large_body_of_a_client_that_may_not_import_is_not_parsed(
    open_client: Opener,
    make: Factory,
    settings: Settings,
    admin_headers: dict[str, str],
    caller: str | None,
    status: int,
) -> None:
    headers = {"admin": admin_headers, "user": await bearer(make, await make.user(), settings)}

    response = await open_client().post(
        "/users/import",
        content=b"[" * 1_000_000,
        headers=headers.get(str(caller), {}) | {"Content-Type": "application/json"},
    )

    assert response.status_code == status


async def test_import_is_audited(
    client: httpx.AsyncClient, admin: User, caplog: pytest.LogCaptureFixture
) -> None:
    posts = [{"title": "T", "body": "B"}]
    users = [{"email": "ann@example.com", "display_name": "Ann", "posts": posts}]
    for _ in range(2):
        response = await client.post("/users/import", json={"users": users})

    assert response.status_code == 409
    events = [vars(record).get("audit") for record in caplog.records]
    assert [event for event in events if event] == [
        {"event": "users_imported", "actor_id": admin.id, "users": 1, "posts": 1}
    ]
