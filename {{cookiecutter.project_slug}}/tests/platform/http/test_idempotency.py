"""`Idempotency-Key`: a request that is sent again is answered again, and done once."""

import asyncio
from datetime import timedelta
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli.main import prune
from app.core.config import Settings
from app.core.database.sessions import Database
from app.core.http.routing import add_routes
from app.dependencies.idempotency import IdempotentRoute, claim_key
from app.main import create_app
from app.models.idempotency_key import IdempotencyKey
from app.models.post import Post
from tests.conftest import http_client
from tests.factories import Factory


@pytest.fixture
async def body(make_live: Factory) -> dict[str, Any]:
    author = await make_live.user()
    return {"author_id": author.id, "title": "Title", "body": "Body"}


async def count_posts(session: AsyncSession) -> int:
    return await session.scalar(select(func.count()).select_from(Post)) or 0


KEY = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}


async def test_repeated_request_gets_the_first_answer_and_does_nothing(
    live_client: httpx.AsyncClient, live_session: AsyncSession, body: Any
) -> None:
    first = await live_client.post("/posts", json=body, headers=KEY)
    again = await live_client.post("/posts", json=body, headers=KEY)

    assert first.status_code == again.status_code == 201
    assert again.content == first.content
    assert "idempotency-replayed" not in first.headers
    assert again.headers.pop("idempotency-replayed") == "true"
    assert again.headers == first.headers
    assert await count_posts(live_session) == 1


async def test_requests_without_a_key_are_each_done(
    live_client: httpx.AsyncClient, live_session: AsyncSession, body: Any
) -> None:
    for _ in range(2):
        await live_client.post("/posts", json=body)

    assert await count_posts(live_session) == 2


async def test_handler_may_take_the_claim_as_a_parameter(
    settings: Settings, live_database: Database
) -> None:
    router = APIRouter(route_class=IdempotentRoute)

    @router.post("/claims")
    async def claim(_: Annotated[None, Depends(claim_key)]) -> str:
        return "done"

    app = create_app(settings)
    app.state.database = live_database
    add_routes(app, router)
    async with http_client(app) as client:
        answers = [await client.post("/claims", headers=headers) for headers in ({}, KEY, KEY)]

    assert [answer.json() for answer in answers] == ["done"] * 3
    assert ["idempotency-replayed" in answer.headers for answer in answers] == [False, False, True]


async def test_key_of_another_request_is_refused(live_client: httpx.AsyncClient, body: Any) -> None:
    await live_client.post("/posts", json=body, headers=KEY)

    response = await live_client.post("/posts", json=body | {"title": "Other"}, headers=KEY)

    assert response.status_code == 422
    assert "was used for another request" in response.json()["detail"]


async def test_of_many_at_once_one_is_done(
    live_client: httpx.AsyncClient, live_session: AsyncSession, body: Any
) -> None:
    responses = await asyncio.gather(
        *(live_client.post("/posts", json=body, headers=KEY) for _ in range(8))
    )

    assert {response.status_code for response in responses} <= {201, 409}
    assert len({r.content for r in responses if r.status_code == 201}) == 1
    assert await count_posts(live_session) == 1


async def test_request_in_flight_is_a_conflict(
    live_client: httpx.AsyncClient, body: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def wait(*_: object) -> None:
        entered.set()
        await leave.wait()

    monkeypatch.setattr("app.services.user_service.UserService.import_users", wait)
    users = {"users": [{"email": "a@example.com", "display_name": "A"}]}
    first = asyncio.create_task(live_client.post("/users/import", json=users, headers=KEY))
    await entered.wait()
    second = await live_client.post("/users/import", json=users, headers=KEY)
    leave.set()
    await first

    assert second.status_code == 409
    assert "is being processed" in second.json()["detail"]


async def test_failed_request_leaves_the_key_free(
    live_client: httpx.AsyncClient, body: Any
) -> None:
    failed = await live_client.post("/posts", json=body | {"author_id": 2**40}, headers=KEY)

    response = await live_client.post("/posts", json=body, headers=KEY)

    assert failed.status_code == 404
    assert response.status_code == 201
    assert "idempotency-replayed" not in response.headers


async def test_expired_key_is_free_again(
    live_client: httpx.AsyncClient, live_session: AsyncSession, body: Any
) -> None:
    await live_client.post("/posts", json=body, headers=KEY)
    await live_session.execute(
        update(IdempotencyKey).values(
            created_at=IdempotencyKey.created_at - timedelta(hours=24, seconds=1)
        )
    )
    await live_session.commit()

    response = await live_client.post("/posts", json=body, headers=KEY)

    assert "idempotency-replayed" not in response.headers
    assert await count_posts(live_session) == 2


@pytest.mark.parametrize("key", ["", "x" * 256, "two words", "\u00e4"])
async def test_key_that_is_none_is_refused(
    live_client: httpx.AsyncClient, body: Any, key: str
) -> None:
    headers = [(b"Idempotency-Key", key.encode("latin-1"))]

    response = await live_client.post("/posts", json=body, headers=headers)

    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"][0] == "header"


async def test_expired_keys_are_pruned_and_others_stay(
    live_client: httpx.AsyncClient,
    live_database: Database,
    live_session: AsyncSession,
    body: Any,
) -> None:
    for number in range(3):
        await live_client.post("/posts", json=body, headers={"Idempotency-Key": f"key{number}"})
    await live_session.execute(
        update(IdempotencyKey)
        .where(IdempotencyKey.key != "key2")
        .values(created_at=IdempotencyKey.created_at - timedelta(hours=25))
    )
    await live_session.commit()

    assert (await prune(live_database))["idempotency keys"] == 2
    assert (await live_session.scalars(select(IdempotencyKey.key))).all() == ["key2"]
