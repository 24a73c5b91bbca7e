"""The import of users with their posts."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.models.post import Post
from app.models.user import User
from tests.bodies import filled, many
from tests.cli.test_main import run
from tests.endpoints import ADMIN, Endpoint


def importable(number: int, **values: Any) -> dict[str, Any]:
    posts = [{"title": f"Post {n}", "body": "Text"} for n in range(2)]
    return {
        "email": f"import{number}@example.com",
        "display_name": "Imported",
        "posts": posts,
    } | values


ENDPOINTS = [
    Endpoint(
        "POST /users/import",
        ADMIN,
        statements=2,
        status=201,
        json={"users": [importable(number) for number in range(20)]},
    ),
]


def users(number: int, posts: int, post: Any) -> bytes:
    """Return an import of users, each with some posts."""
    body = [
        {"email": f"u{n}@{posts}.example.com", "display_name": "Ann", "posts": [post] * posts}
        for n in range(number)
    ]
    return json.dumps({"users": body}, separators=(",", ":")).encode()


def import_bodies(size: int) -> Iterator[tuple[str, bytes]]:
    """Yield imports that a schema has to look into."""
    post = {"title": "a", "body": "a"}
    yield "as many users as allowed", users(1000, 0, post)
    yield "as many users and posts as allowed", users(1000, 2, post)
    yield "too many posts", users(700, 100, post)
    yield "wrong posts of one user", users(1, 100_000, {})
    yield "wrong posts of many users", users(400, 100, {})
    yield "wrong users", filled(size, b"{},", b'{"users":[', b"{}]}")
    yield "users without posts", b'{"users":[' + b",".join([b"{}"] * 1000) + b"]}"
    long = {"title": "a" * 200, "body": "word " * 9000}
    yield "long posts", users(40, 1, long)
    item = b'{"email":"a@example.com","display_name":"Ann","posts":[{'
    yield "unknown members of a user", many(size, '"{}":1', b'{"users":[{', b"}]}")
    yield "unknown members of a post", many(size, '"{}":1', b'{"users":[' + item, b"}]}]}")


LARGE_BODIES = {"POST /users/import": import_bodies}


async def count_rows(session: AsyncSession) -> tuple[int, int]:
    users = await session.scalar(select(func.count()).select_from(User))
    posts = await session.scalar(select(func.count()).select_from(Post))
    return users or 0, posts or 0


async def test_import_writes_users_with_their_own_posts(
    client: httpx.AsyncClient, session: AsyncSession
) -> None:
    users = [importable(number) for number in range(30)]

    response = await client.post("/users/import", json={"users": users})

    assert response.status_code == 201
    assert response.json() == {"users": 30, "posts": 60}
    rows = await session.execute(
        select(User.email, func.count(Post.id).label("posts"))
        .join(Post, Post.author_id == User.id)
        .where(User.email.like("import%"))
        .group_by(User.email)
    )
    assert {row.email: row.posts for row in rows} == {user["email"]: 2 for user in users}


@pytest.mark.parametrize(
    ("spoiled", "status"),
    [
        (importable(1, email="IMPORT0@example.com"), 409),
        (importable(1, email="not an address"), 422),
        (importable(1, posts=[{"title": "", "body": "Text"}]), 422),
    ],
)
async def test_import_that_fails_half_way_writes_nothing(
    live_client: httpx.AsyncClient, live_session: AsyncSession, spoiled: Any, status: int
) -> None:
    before = await count_rows(live_session)
    users = [importable(0), spoiled, importable(2)]

    response = await live_client.post("/users/import", json={"users": users})

    assert response.status_code == status
    assert await count_rows(live_session) == before


async def test_import_that_fails_after_the_users_writes_no_user_either(
    live_client: httpx.AsyncClient, live_session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await count_rows(live_session)

    async def fail(*_: object) -> None:
        raise RuntimeError("the second service fails")

    monkeypatch.setattr("app.services.post_service.PostService.import_posts", fail)
    with pytest.raises(RuntimeError, match="the second service fails"):
        await live_client.post("/users/import", json={"users": [importable(0)]})

    assert await count_rows(live_session) == before


@pytest.mark.parametrize("users", [[], [importable(n) for n in range(1001)]])
async def test_import_takes_1_to_1000_users(client: httpx.AsyncClient, users: list[Any]) -> None:
    response = await client.post("/users/import", json={"users": users})

    assert response.status_code == 422


async def test_errors_of_a_large_import_are_few(client: httpx.AsyncClient) -> None:
    users = [{"email": "a@example.com", "posts": [{}] * 100}] * 1000

    response = await client.post("/users/import", json={"users": users})

    assert response.status_code == 422
    assert len(response.content) < 2000
    (error,) = response.json()["errors"]
    assert error["detail"] == "The users have 100000 posts, more than 2000: import them in parts"


def test_command_lists_the_limit_of_its_body() -> None:
    (row,) = [
        row for row in json.loads(run("routes", "--json").stdout) if row["path"] == "/users/import"
    ]

    assert row["max_body"] == 2 * 2**20
