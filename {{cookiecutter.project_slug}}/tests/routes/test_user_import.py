"""The import of users with their posts."""

from typing import Any

import httpx
import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.models.post import Post
from app.models.user import User
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
