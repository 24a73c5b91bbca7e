"""`Idempotency-Key`: a repeated request gets the first response, and is executed once."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from itertools import count
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Database
from app.core.http.edge import EdgeRoute
from app.dependencies.database import OpenSessionDep, SessionDep
from app.exceptions import UnavailableError
from app.jobs.maintenance import prune
from app.models.idempotency_key import IdempotencyKey
from app.services.idempotency_service import RequestDigests
from tests.conftest import http_client
from tests.factories import Factory
from tests.platform.probe import Probe, ProbeCreate, ProbeService, count_probes


@pytest.fixture
async def body(make_live: Factory) -> dict[str, Any]:
    owner = await make_live.user()
    return {"owner_id": owner.id, "name": "Name"}


KEY = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}


async def test_repeated_request_gets_the_first_response_and_does_nothing(
    live_probes: httpx.AsyncClient, live_session: AsyncSession, body: Any
) -> None:
    first = await live_probes.post("/probes", json=body, headers=KEY)
    again = await live_probes.post("/probes", json=body, headers=KEY)

    assert first.status_code == again.status_code == 201
    assert again.content == first.content
    assert "idempotency-replayed" not in first.headers
    assert again.headers.pop("idempotency-replayed") == "true"
    assert again.headers.pop("x-request-id") != first.headers.pop("x-request-id")
    assert again.headers == first.headers
    assert await count_probes(live_session) == 1


async def test_requests_without_a_key_are_each_done(
    live_probes: httpx.AsyncClient, live_session: AsyncSession, body: Any
) -> None:
    for name in ("One", "Two"):
        await live_probes.post("/probes", json=body | {"name": name})

    assert await count_probes(live_session) == 2


async def test_key_of_another_request_is_refused(
    live_probes: httpx.AsyncClient, body: Any, live_admin_headers: dict[str, str]
) -> None:
    await live_probes.post("/probes", json=body, headers=KEY)

    response = await live_probes.post("/probes", json=body | {"name": "Other"}, headers=KEY)

    if live_admin_headers:
        assert response.status_code == 422
        assert "was used for another request" in response.json()["detail"]
    else:  # another caller for all that is known
        assert (response.status_code, response.json()["name"]) == (201, "Other")


async def test_key_of_another_query_is_refused(
    app_with_routers: Callable[..., FastAPI],
    live_database: Database,
    live_admin_headers: dict[str, str],
) -> None:
    router = APIRouter(route_class=EdgeRoute)

    @router.post("/charges")
    async def charge(session: SessionDep, *, dry_run: bool) -> bool:
        return dry_run

    async with http_client(
        app_with_routers(router, database=live_database), headers=live_admin_headers
    ) as client:
        first, other, again = [
            await client.post("/charges", params={"dry_run": dry_run}, headers=KEY)
            for dry_run in (True, False, True)
        ]

    assert (first.json(), again.json()) == (True, True)
    assert other.status_code == (422 if live_admin_headers else 200)


async def test_of_many_at_once_one_is_done(
    live_probes: httpx.AsyncClient, live_session: AsyncSession, body: Any
) -> None:
    responses = await asyncio.gather(
        *(live_probes.post("/probes", json=body, headers=KEY) for _ in range(8))
    )

    assert {response.status_code for response in responses} <= {201, 409}
    assert len({r.content for r in responses if r.status_code == 201}) == 1
    assert await count_probes(live_session) == 1


async def test_request_in_flight_is_a_conflict(
    live_probes: httpx.AsyncClient, body: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    create = ProbeService.create

    async def wait(service: ProbeService, data: ProbeCreate) -> Probe:
        entered.set()
        await leave.wait()
        return await create(service, data)

    monkeypatch.setattr(ProbeService, "create", wait)
    first = asyncio.create_task(live_probes.post("/probes", json=body, headers=KEY))
    await entered.wait()
    second = await live_probes.post("/probes", json=body, headers=KEY)
    leave.set()

    assert (await first).status_code == 201
    assert second.status_code == 409
    assert "is being processed" in second.json()["detail"]


async def test_failed_request_leaves_the_key_free(
    live_probes: httpx.AsyncClient, body: Any
) -> None:
    failed = await live_probes.post("/probes", json=body | {"owner_id": 2**40}, headers=KEY)

    response = await live_probes.post("/probes", json=body, headers=KEY)

    assert failed.status_code == 404
    assert response.status_code == 201
    assert "idempotency-replayed" not in response.headers


async def test_expired_key_is_free_again(
    live_probes: httpx.AsyncClient, live_session: AsyncSession, body: Any
) -> None:
    await live_probes.post("/probes", json=body, headers=KEY)
    await live_session.execute(
        update(IdempotencyKey).values(
            created_at=IdempotencyKey.created_at - timedelta(hours=24, seconds=1)
        )
    )
    await live_session.execute(delete(Probe))
    await live_session.commit()

    response = await live_probes.post("/probes", json=body, headers=KEY)

    assert "idempotency-replayed" not in response.headers
    assert await count_probes(live_session) == 1


async def test_key_is_claimed_when_the_session_opens(
    app_with_routers: Callable[..., FastAPI],
    live_database: Database,
    live_admin_headers: dict[str, str],
) -> None:
    """Work that precedes it, such as a call of another system, is repeated."""
    router = APIRouter(route_class=EdgeRoute)
    calls: list[str] = []

    @router.post("/calls")
    async def call(open_session: OpenSessionDep) -> int:
        calls.append("before")
        await open_session()
        calls.append("after")
        return len(calls)

    async with http_client(
        app_with_routers(router, database=live_database), headers=live_admin_headers
    ) as client:
        responses = [await client.post("/calls", headers=KEY) for _ in range(2)]

    assert [response.json() for response in responses] == [2, 2]
    assert calls == ["before", "after", "before"]


async def test_response_that_streams_cannot_be_repeated_and_the_client_is_told(
    app_with_routers: Callable[..., FastAPI],
    live_database: Database,
    live_admin_headers: dict[str, str],
) -> None:
    router = APIRouter(route_class=EdgeRoute)

    @router.post("/export")
    async def export(session: SessionDep) -> StreamingResponse:
        return StreamingResponse(iter(["line"]))

    async with http_client(
        app_with_routers(router, database=live_database), headers=live_admin_headers
    ) as client:
        with_key = await client.post("/export", headers=KEY)
        without = await client.post("/export")

    assert with_key.status_code == 422
    assert "without Idempotency-Key" in with_key.json()["detail"]
    assert (without.status_code, without.text) == (200, "line")


@pytest.mark.parametrize("status", [409, 500])
async def test_error_response_that_is_returned_writes_nothing_and_leaves_the_key_free(
    app_with_routers: Callable[..., FastAPI],
    live_database: Database,
    live_session: AsyncSession,
    probe_table: None,
    body: Any,
    live_admin_headers: dict[str, str],
    status: int,
) -> None:
    router = APIRouter(route_class=EdgeRoute)
    statuses = iter([status, 201])

    @router.post("/failing")
    async def fail_once(session: SessionDep) -> JSONResponse:
        await session.execute(insert(Probe).values(body))
        return JSONResponse({}, next(statuses))

    async with http_client(
        app_with_routers(router, database=live_database), headers=live_admin_headers
    ) as client:
        failed = await client.post("/failing", headers=KEY)
        number_after_failure = await count_probes(live_session)
        repeated = await client.post("/failing", headers=KEY)

    assert (failed.status_code, repeated.status_code) == (status, 201)
    assert (number_after_failure, await count_probes(live_session)) == (0, 1)


async def test_stored_response_is_sent_even_if_the_handler_suppresses_errors(
    app_with_routers: Callable[..., FastAPI],
    live_database: Database,
    live_admin_headers: dict[str, str],
) -> None:
    router = APIRouter(route_class=EdgeRoute)

    @router.post("/stubborn")
    async def insist(open_session: OpenSessionDep) -> int:
        with suppress(Exception):
            await open_session()
        with suppress(Exception):
            await open_session()
        return next(numbers)

    numbers = count(1)
    async with http_client(
        app_with_routers(router, database=live_database), headers=live_admin_headers
    ) as client:
        responses = [await client.post("/stubborn", headers=KEY) for _ in range(2)]

    assert [response.json() for response in responses] == [1, 1]


async def test_claim_that_a_timeout_has_cut_short_ends_the_request(
    app_with_routers: Callable[..., FastAPI],
    live_database: Database,
    live_admin_headers: dict[str, str],
) -> None:
    router = APIRouter(route_class=EdgeRoute)
    done: list[str] = []

    @router.post("/impatient")
    async def insist(open_session: OpenSessionDep) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0):
                await open_session()
        with suppress(UnavailableError):
            await open_session()
            done.append("twice")

    async with http_client(
        app_with_routers(router, database=live_database), headers=live_admin_headers
    ) as client:
        response = await client.post("/impatient", headers=KEY)

    assert (response.status_code, done) == (503, [])


async def test_handler_may_stream_the_body_before_the_key_is_claimed(
    app_with_routers: Callable[..., FastAPI],
    live_database: Database,
    live_admin_headers: dict[str, str],
) -> None:
    router = APIRouter(route_class=EdgeRoute)

    @router.post("/upload")
    async def upload(request: Request, open_session: OpenSessionDep) -> int:
        size = sum([len(chunk) async for chunk in request.stream()])
        await open_session()
        return size

    async with http_client(
        app_with_routers(router, database=live_database), headers=live_admin_headers
    ) as client:
        responses = [await client.post("/upload", content=b"x" * 9, headers=KEY) for _ in range(2)]

    assert [response.text for response in responses] == ["9", "9"]
    assert responses[1].headers["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize("key", ["", "x" * 256, "two words", "\u00e4"])
async def test_invalid_key_is_refused(live_probes: httpx.AsyncClient, body: Any, key: str) -> None:
    headers = [(b"Idempotency-Key", key.encode("latin-1"))]

    response = await live_probes.post("/probes", json=body, headers=headers)

    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"][0] == "header"


async def test_two_keys_are_refused(live_probes: httpx.AsyncClient, body: Any) -> None:
    headers = [("Idempotency-Key", "one"), ("Idempotency-Key", "two")]

    response = await live_probes.post("/probes", json=body, headers=headers)

    assert response.status_code == 422


async def test_expired_keys_are_pruned_and_others_stay(
    live_probes: httpx.AsyncClient,
    live_database: Database,
    live_session: AsyncSession,
    body: Any,
) -> None:
    for number in range(3):
        await live_probes.post(
            "/probes",
            json=body | {"name": f"{number}"},
            headers={"Idempotency-Key": f"key{number}"},
        )
    newest = await live_session.scalar(select(func.max(IdempotencyKey.id)))
    await live_session.execute(
        update(IdempotencyKey)
        .where(IdempotencyKey.id != newest)
        .values(created_at=IdempotencyKey.created_at - timedelta(hours=25))
    )
    await live_session.commit()

    assert (await prune(live_database)).deleted["idempotency keys"] == 2
    assert (await live_session.scalars(select(IdempotencyKey.id))).all() == [newest]


async def test_response_that_holds_a_secret_is_never_stored(
    app_with_routers: Callable[..., FastAPI],
    live_database: Database,
    live_session: AsyncSession,
    live_admin_headers: dict[str, str],
) -> None:
    router = APIRouter(route_class=EdgeRoute)

    @router.post("/api-keys")
    async def create(session: SessionDep, response: Response) -> str:
        response.headers["Cache-Control"] = "no-store"
        return "secret"

    async with http_client(
        app_with_routers(router, database=live_database), headers=live_admin_headers
    ) as client:
        with_key = await client.post("/api-keys", headers=KEY)
        without = await client.post("/api-keys")

    assert with_key.status_code == 422
    assert "without Idempotency-Key" in with_key.json()["detail"]
    assert without.json() == "secret"
    assert await live_session.scalar(select(func.count()).select_from(IdempotencyKey)) == 0


async def test_key_is_not_stored_itself(
    live_probes: httpx.AsyncClient, live_session: AsyncSession, body: Any
) -> None:
    """Anyone who reads the table could send it, and it makes the digest of the body harder to guess."""
    await live_probes.post("/probes", json=body, headers=KEY)

    stored = (await live_session.scalars(select(IdempotencyKey))).one()
    assert stored.key != KEY["Idempotency-Key"]
    request = hashlib.sha256(b"POST /probes\n" + json.dumps(body, separators=(",", ":")).encode())
    assert stored.fingerprint != request.digest()


def test_digests_cannot_be_computed_without_their_key() -> None:
    one, other = (
        RequestDigests.of(b"a request", "a caller", "a key", (secret,), is_anonymous=True)
        for secret in (b"one", b"other")
    )

    assert one.fingerprints != other.fingerprints
    assert one.names != other.names
