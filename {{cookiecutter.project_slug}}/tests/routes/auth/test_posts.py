"""Posts of a caller who is known."""

from fastapi import FastAPI

from app.core.config import Settings
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
