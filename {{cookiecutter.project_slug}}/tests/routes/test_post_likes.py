"""Who likes a post, how many there are, and whether the viewer is one of them."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Database
from app.dependencies.pagination import MAX_PAGE
from app.models.post import Post
from app.models.post_like import post_likes
from app.services.post_like_service import PostLikeService
from tests.callers import NO_USER
from tests.endpoints import CALLER, OPEN, Endpoint, HeadersOf
from tests.factories import Factory
from tests.post_factory import make_like, make_post

START: Final = datetime(2026, 1, 1, tzinfo=UTC)

ENDPOINTS = [
    Endpoint("PUT /posts/{post_id}/like", CALLER, statements=1, status=204),
    Endpoint("DELETE /posts/{post_id}/like", CALLER, statements=1, status=204),
    Endpoint("GET /posts/{post_id}/likes", OPEN, statements=1),
]


def likes_of(item: dict[str, Any]) -> tuple[int, bool]:
    return item["like_count"], item["liked_by_me"]


async def test_viewer_sees_how_many_like_a_post_and_whether_they_do(
    anonymous: httpx.AsyncClient, make: Factory, headers_of: HeadersOf
) -> None:
    post, other = await make_post(make), await make_post(make)
    ann = await make_like(make, post)
    await make_like(make, post)
    await make_like(make, other)

    async def seen(headers: dict[str, str]) -> list[tuple[int, bool]]:
        found = []
        for query in ("", "?view=summary", "?include=author", "?q=title"):
            items = (await anonymous.get(f"/posts{query}", headers=headers)).json()["items"]
            found += [likes_of(item) for item in items if item["id"] == post.id]
        single = await anonymous.get(f"/posts/{post.id}", headers=headers)
        return [*found, likes_of(single.json())]

    assert await seen({}) == [(2, False)] * 5
    assert await seen(await headers_of(make, ann)) == [(2, True)] * 5
    assert await seen(await headers_of(make, await make.user())) == [(2, False)] * 5


async def test_liking_and_unliking_may_be_repeated(
    anonymous: httpx.AsyncClient, make: Factory, headers_of: HeadersOf
) -> None:
    post = await make_post(make)
    await make_like(make, post)
    headers = await headers_of(make, await make.user())

    for method, expected in (("PUT", (2, True)), ("DELETE", (1, False))):
        for _ in range(2):
            response = await anonymous.request(method, f"/posts/{post.id}/like", headers=headers)
            assert (response.status_code, response.content) == (204, b"")
            read = await anonymous.get(f"/posts/{post.id}", headers=headers)
            assert likes_of(read.json()) == expected


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_like_without_a_user_is_refused_as_documented(
    app: FastAPI, anonymous: httpx.AsyncClient, make: Factory, method: str
) -> None:
    post = await make_post(make)

    response = await anonymous.request(method, f"/posts/{post.id}/like")

    assert response.status_code == NO_USER
    documented = app.openapi()["paths"]["/posts/{post_id}/like"][method.lower()]["responses"]
    assert str(NO_USER) in documented


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_like_of_an_unknown_post_is_not_found(
    anonymous: httpx.AsyncClient, make: Factory, headers_of: HeadersOf, method: str
) -> None:
    headers = await headers_of(make, await make.user())

    response = await anonymous.request(method, f"/posts/{2**40}/like", headers=headers)

    assert response.status_code == 404
    assert response.json()["detail"] == f"Post {2**40} not found"


async def test_many_likes_of_one_user_at_once_are_one(
    live_client: httpx.AsyncClient, make_live: Factory, headers_of: HeadersOf
) -> None:
    post = await make_post(make_live)
    headers = await headers_of(make_live, await make_live.user())

    responses = await asyncio.gather(
        *(live_client.put(f"/posts/{post.id}/like", headers=headers) for _ in range(8))
    )

    assert {response.status_code for response in responses} == {204}
    read = await live_client.get(f"/posts/{post.id}", headers=headers)
    assert likes_of(read.json()) == (1, True)


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_like_that_meets_the_deletion_of_the_post_finds_no_post(
    live_client: httpx.AsyncClient,
    live_database: Database,
    make_live: Factory,
    headers_of: HeadersOf,
    method: str,
) -> None:
    post = await make_post(make_live)
    user = await make_live.user()
    headers = await headers_of(make_live, user)
    if method == "DELETE":
        await make_like(make_live, post, user)

    async with live_database.transaction() as session:
        await session.execute(delete(Post).where(Post.id == post.id))
        waiting = asyncio.create_task(
            live_client.request(method, f"/posts/{post.id}/like", headers=headers)
        )
        await asyncio.sleep(0.2)
        assert not waiting.done()  # the row that it needs is locked
    response = await waiting

    # An unlike has read the post before the deletion committed.
    assert response.status_code == (404 if method == "PUT" else 204)
    again = await live_client.request(method, f"/posts/{post.id}/like", headers=headers)
    assert again.status_code == 404


async def test_likes_are_gone_with_the_post_and_with_the_user(
    client: httpx.AsyncClient, make: Factory, session: AsyncSession
) -> None:
    gone, kept = await make_post(make), await make_post(make)
    ann = await make_like(make, gone)
    await make_like(make, kept, ann)
    bob = await make_like(make, kept)

    assert (await client.delete(f"/posts/{gone.id}")).status_code == 204
    assert (await client.delete(f"/users/{ann.id}")).status_code == 204

    left = (await session.execute(select(post_likes.c.post_id, post_likes.c.user_id))).all()
    assert left == [(kept.id, bob.id)]


async def test_like_does_not_invalidate_the_etag_of_an_editor(
    client: httpx.AsyncClient, make: Factory
) -> None:
    post = await make_post(make)
    before = await client.get(f"/posts/{post.id}")
    await make_like(make, post)
    liked = await client.get(f"/posts/{post.id}")
    assert liked.headers["etag"] != before.headers["etag"]

    for tag in (before.headers["etag"], liked.headers["etag"]):
        response = await client.patch(f"/posts/{post.id}", json={}, headers={"If-Match": tag})
        assert response.status_code == 200, response.text
    changed = await client.patch(f"/posts/{post.id}", json={"title": "Other"})
    assert changed.status_code == 200
    late = {"If-Match": liked.headers["etag"]}
    assert (await client.delete(f"/posts/{post.id}", headers=late)).status_code == 412


async def test_reader_is_up_to_date_only_while_the_likes_are(
    anonymous: httpx.AsyncClient, make: Factory, headers_of: HeadersOf
) -> None:
    post = await make_post(make)
    ann, bob = await make.user(), await make.user()
    known = await headers_of(make, ann)
    path = f"/posts/{post.id}"

    async def reads(tag: str) -> list[int]:
        """Return what nobody gets and what Ann gets, if they have read this tag."""
        held = {"If-None-Match": tag}
        responses = [await anonymous.get(path, headers=held | more) for more in ({}, known)]
        return [response.status_code for response in responses]

    none = (await anonymous.get(path)).headers["etag"]
    assert await reads(none) == [304, 304]
    await make_like(make, post, ann)
    assert await reads(none) == [200, 200]
    mine = (await anonymous.get(path, headers=known)).headers["etag"]
    assert await reads(mine) == [200, 304]
    await make_like(make, post, bob)
    assert await reads(mine) == [200, 200]


async def test_changed_post_has_a_tag_that_does_not_pass_for_that_of_its_likes(
    client: httpx.AsyncClient, make: Factory
) -> None:
    post = await make_post(make)
    await make_like(make, post)

    changed = await client.patch(f"/posts/{post.id}", json={"title": "Other"})
    held = {"If-None-Match": changed.headers["etag"]}

    assert "like_count" not in changed.json()
    assert (await client.get(f"/posts/{post.id}", headers=held)).json()["like_count"] == 1
    match = {"If-Match": changed.headers["etag"]}
    assert (await client.delete(f"/posts/{post.id}", headers=match)).status_code == 204


async def test_pages_of_likes_have_numbers_and_the_total(
    anonymous: httpx.AsyncClient, make: Factory
) -> None:
    post = await make_post(make)
    await make_like(make, await make_post(make))
    users = [
        await make_like(make, post, at=START + timedelta(days=number // 2)) for number in range(5)
    ]

    pages = [
        (await anonymous.get(f"/posts/{post.id}/likes?limit=2&page={number}")).json()
        for number in (1, 2, 3, 4)
    ]

    assert [page["total"] for page in pages] == [5] * 4
    seen = [[item["user_id"] for item in page["items"]] for page in pages]
    ids = [user.id for user in reversed(users)]  # equal times are ordered by the id
    assert seen == [ids[:2], ids[2:4], ids[4:], []]
    assert pages[0]["items"][0] == {
        "user_id": users[4].id,
        "display_name": users[4].display_name,
        "liked_at": "2026-01-03T00:00:00Z",
    }


async def test_post_without_likes_has_an_empty_page_and_an_unknown_one_has_none(
    anonymous: httpx.AsyncClient, make: Factory
) -> None:
    post = await make_post(make)

    empty = await anonymous.get(f"/posts/{post.id}/likes")
    unknown = await anonymous.get(f"/posts/{2**40}/likes")

    assert empty.json() == {"items": [], "total": 0}
    assert (unknown.status_code, unknown.json()["detail"]) == (404, f"Post {2**40} not found")


@pytest.mark.parametrize(
    ("page", "status"), [(0, 422), (1, 200), (MAX_PAGE, 200), (MAX_PAGE + 1, 422)]
)
async def test_number_of_a_page_has_a_limit(
    anonymous: httpx.AsyncClient, make: Factory, page: int, status: int
) -> None:
    post = await make_post(make)

    response = await anonymous.get(f"/posts/{post.id}/likes?page={page}")

    assert response.status_code == status


async def test_no_likes_are_imported_without_a_statement(session: AsyncSession) -> None:
    await PostLikeService(session).import_likes([])

    assert await session.scalar(select(func.count()).select_from(post_likes)) == 0
