"""ETag, If-Match and If-None-Match, on users and on posts alike."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.core.config import Settings
from tests.factories import Factory

PATCHES: dict[str, Any] = {"users": {"display_name": "Other"}, "posts": {"title": "Other"}}


@pytest.fixture(params=PATCHES)
async def path(request: pytest.FixtureRequest, make: Factory) -> str:
    row = await (make.user() if request.param == "users" else make.post())
    return f"/{request.param}/{row.id}"


def patch_of(path: str) -> Any:
    return PATCHES[path.split("/")[1]]


async def test_etag_changes_with_the_resource_and_only_then(
    client: httpx.AsyncClient, path: str
) -> None:
    first = await client.get(path)
    unchanged = await client.patch(path, json={})
    changed = await client.patch(path, json=patch_of(path))
    last = await client.get(path)

    assert unchanged.headers["etag"] == first.headers["etag"]
    assert changed.headers["etag"] != first.headers["etag"]
    assert last.headers["etag"] == changed.headers["etag"]


async def test_created_resource_has_the_etag_that_reading_it_gives(
    client: httpx.AsyncClient, make: Factory
) -> None:
    author = await make.user()
    body = {"author_id": author.id, "title": "Title", "body": "Body"}
    created = await client.post("/posts", json=body)

    read = await client.get(created.headers["location"])

    assert created.headers["etag"] == read.headers["etag"]


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
@pytest.mark.parametrize(
    ("if_match", "passes"),
    [
        ("{etag}", True),
        ("*", True),
        ('"0", {etag}', True),
        ('"0"', False),
        ("W/{etag}", False),
        ('"x"', False),
        ("", False),
        ('"99999999999999999999"', False),
    ],
)
async def test_change_of_another_version_is_refused(
    client: httpx.AsyncClient, path: str, method: str, if_match: str, passes: bool
) -> None:
    etag = (await client.get(path)).headers["etag"]
    body = patch_of(path) if method == "PATCH" else None

    response = await client.request(
        method, path, json=body, headers={"If-Match": if_match.format(etag=etag)}
    )

    if passes:
        assert response.status_code in {200, 204}
    else:
        assert response.status_code == 412
        assert response.json()["code"] == "PRECONDITION_FAILED"
        assert response.headers["etag"] == etag
        assert (await client.get(path)).headers["etag"] == etag


@pytest.mark.parametrize(
    ("if_none_match", "status"),
    [("{etag}", 304), ("W/{etag}", 304), ('"0", {etag}', 304), ("*", 304), ('"0"', 200)],
)
async def test_reader_that_is_up_to_date_gets_no_body(
    client: httpx.AsyncClient, path: str, if_none_match: str, status: int
) -> None:
    etag = (await client.get(path)).headers["etag"]

    response = await client.get(path, headers={"If-None-Match": if_none_match.format(etag=etag)})

    assert response.status_code == status
    assert response.headers["etag"] == etag
    assert bool(response.content) == (status == 200)


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_precondition_can_be_demanded(
    settings: Settings, client: httpx.AsyncClient, app: FastAPI, path: str, method: str
) -> None:
    app.state.settings = settings.model_copy(update={"require_if_match": True})
    try:
        response = await client.request(method, path, json={} if method == "PATCH" else None)
    finally:
        app.state.settings = settings

    assert response.status_code == 428
    assert response.json()["code"] == "PRECONDITION_REQUIRED"


async def test_of_many_writers_with_one_etag_one_wins(
    live_client: httpx.AsyncClient, make_live: Factory
) -> None:
    post = await make_live.post()
    etag = (await live_client.get(f"/posts/{post.id}")).headers["etag"]

    responses = await asyncio.gather(
        *(
            live_client.patch(
                f"/posts/{post.id}", json={"title": f"Title {n}"}, headers={"If-Match": etag}
            )
            for n in range(8)
        )
    )

    assert sorted(response.status_code for response in responses) == [200] + [412] * 7


async def test_writers_without_an_etag_wait_for_each_other(
    live_client: httpx.AsyncClient, make_live: Factory
) -> None:
    post = await make_live.post()

    responses = await asyncio.gather(
        *(live_client.patch(f"/posts/{post.id}", json={"title": f"T {n}"}) for n in range(8))
    )

    assert {response.status_code for response in responses} == {200}
    assert len({response.headers["etag"] for response in responses}) == 8
