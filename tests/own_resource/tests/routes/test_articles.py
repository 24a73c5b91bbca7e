from typing import Any

import httpx
import pytest

from app.models.article import Article
from app.models.user import User
from tests.endpoints import OPEN, OWNER, Endpoint
from tests.factories import Factory, unique_number


async def make_article(make: Factory, editor: User | None = None, **values: Any) -> Article:
    editor = editor or await make.user()
    defaults = {"editor_id": editor.id, "slug": f"article-{unique_number()}", "text": "Text"}
    return await make(Article(**defaults | values))


PATH_PARAMETERS = {"article_id": make_article}

NEW_ARTICLE = {"editor_id": "{user_id}", "slug": "hello", "text": "Text"}

ENDPOINTS = [
    Endpoint("POST /articles", OWNER, statements=1, status=201, json=NEW_ARTICLE),
    Endpoint("GET /articles", OPEN, statements=1),
    Endpoint("GET /articles/{article_id}", OPEN, statements=1),
    Endpoint("PATCH /articles/{article_id}", OWNER, statements=2, json={"text": "Other"}),
    Endpoint("DELETE /articles/{article_id}", OWNER, statements=2, status=204),
]


async def test_slug_that_is_taken_is_a_conflict(client: httpx.AsyncClient, make: Factory) -> None:
    article = await make_article(make)

    response = await client.post(
        "/articles", json={"editor_id": article.editor_id, "slug": article.slug, "text": "Text"}
    )

    assert response.status_code == 409
    assert response.json()["detail"] == f"Slug {article.slug} is taken"


@pytest.mark.parametrize(("body", "summary"), [({"summary": None}, None), ({}, "In short")])
async def test_summary_is_taken_away_by_null(
    client: httpx.AsyncClient, make: Factory, body: dict[str, Any], summary: str | None
) -> None:
    article = await make_article(make, summary="In short")

    response = await client.patch(f"/articles/{article.id}", json=body)

    assert (response.status_code, response.json()["summary"]) == (200, summary)


async def test_pages_hold_every_article_once(client: httpx.AsyncClient, make: Factory) -> None:
    ids = [(await make_article(make)).id for _ in range(3)]

    first = await client.get("/articles?limit=2")
    second = await client.get(first.links["next"]["url"])

    pages = [*first.json()["items"], *second.json()["items"]]
    assert [article["id"] for article in pages] == ids
