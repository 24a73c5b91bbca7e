import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Body, FastAPI, Request
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Scope

from app.core.config import Settings
from app.core.database import Database
from app.core.http.edge import EdgeRoute
from app.core.http.limits import body_limit, is_deeper, refuse_long_target
from tests.conftest import http_client

JSON = {"Content-Type": "application/json"}
SMALL = {
    "max_body_bytes": 2**20,
    "body_timeout": 0.5,
    "max_json_depth": 4,
    "max_query_bytes": 256,
}


@pytest.fixture
def small_app(probe_app_with: Callable[..., FastAPI], database: Database) -> FastAPI:
    app = probe_app_with(**SMALL)
    app.state.database = database
    return app


@pytest.fixture
async def limited(
    small_app: FastAPI, admin_headers: dict[str, str]
) -> AsyncGenerator[httpx.AsyncClient]:
    async with http_client(small_app, headers=admin_headers) as client:
        yield client


async def slowly(*parts: bytes, seconds: float = 0) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
        await asyncio.sleep(seconds)


def post_scope(settings: Settings, headers: list[tuple[bytes, bytes]]) -> Scope:
    """Return the scope of a POST, for tests that send the messages themselves."""
    return {
        "type": "http",
        "method": "POST",
        "path": f"{settings.api_prefix}/probes",
        "query_string": b"",
        "headers": headers,
    }


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


async def test_body_that_is_too_large_is_refused(limited: httpx.AsyncClient) -> None:
    announced = await limited.post("/probes", content=b" " * 2**20 + b" ", headers=JSON)
    in_parts = await limited.post("/probes", content=slowly(*[b" " * 2**18] * 5), headers=JSON)

    for response in (announced, in_parts):
        assert response.status_code == 413
        assert response.json()["code"] == "CONTENT_TOO_LARGE"
        assert response.headers["connection"] == "close"


@pytest.mark.parametrize("announced", [True, False])
async def test_rest_of_a_body_that_is_too_large_is_read_before_the_response(
    small_app: FastAPI, settings: Settings, announced: bool
) -> None:
    """Otherwise the server would close the connection on a client that is still sending."""
    parts = 8
    sent: list[str] = []

    async def receive() -> Message:
        sent.append("part")
        return {"type": "http.request", "body": b" " * 2**19, "more_body": len(sent) < parts}

    async def send(message: Message) -> None:
        sent.append(str(message.get("status", "")))

    headers = [(b"content-length", b"%d" % (parts * 2**19))] if announced else []
    await small_app(post_scope(settings, headers), receive, send)

    assert sent == [*["part"] * parts, "413", ""]


async def test_client_that_asks_first_is_refused_at_once(
    small_app: FastAPI, settings: Settings
) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        pytest.fail("the client would be told to send the body")

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"content-length", b"%d" % 2**30), (b"expect", b"100-continue")]
    await small_app(post_scope(settings, headers), receive, send)

    assert sent[0]["status"] == 413


async def test_announced_size_of_any_length_is_refused(
    small_app: FastAPI, settings: Settings
) -> None:
    """Python refuses to read a number of more than 4300 digits."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"content-length", b"9" * 5000)]
    await small_app(post_scope(settings, headers), receive, send)

    assert sent[0]["status"] == 413


async def test_rest_of_a_body_is_not_awaited_for_longer_than_a_body(
    limited: httpx.AsyncClient,
) -> None:
    body = slowly(b" " * 2**21, b" ", seconds=1)

    async with asyncio.timeout(0.9):
        response = await limited.post("/probes", content=body, headers=JSON)

    assert response.status_code == 413


async def test_body_that_does_not_arrive_is_given_up(limited: httpx.AsyncClient) -> None:
    body = slowly(b"{", b"}", seconds=1)

    async with asyncio.timeout(0.9):
        response = await limited.post("/probes", content=body, headers=JSON)

    assert response.status_code == 408
    assert response.json()["code"] == "REQUEST_TIMEOUT"
    assert response.headers["connection"] == "close"


@pytest.mark.parametrize(
    ("body", "is_too_deep"),
    [
        (nested(4), False),
        (nested(5), True),
        (nested(100_000), True),
        ("[" * 900, True),
        ('{"a":' * 900, True),
        (json.dumps({"email": "[[[[["}), False),
        (json.dumps({"email": '"[\\"[[[['}), False),
        (json.dumps([[]] * 20), False),
        ("[]" * 20, False),
        ("]" * 20 + nested(5), True),
    ],
)
async def test_json_that_nests_too_deep_is_refused(
    limited: httpx.AsyncClient, body: str, is_too_deep: bool
) -> None:
    response = await limited.post("/probes", content=body, headers=JSON)

    assert response.status_code == 422
    assert response.json()["detail"] == (
        "The body nests deeper than 4 arrays and objects"
        if is_too_deep
        else "The request is not valid; see errors"
    )


async def test_json_is_known_by_any_spelling_of_its_type(limited: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/problem+JSON"}
    response = await limited.post("/probes", content=nested(5), headers=headers)

    assert response.json()["detail"] == "The body nests deeper than 4 arrays and objects"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
async def test_json_in_another_encoding_is_refused(
    limited: httpx.AsyncClient, encoding: str
) -> None:
    content = f'["∀", {nested(5)}]'.encode(encoding)
    response = await limited.post("/probes", content=content, headers=JSON)

    assert response.status_code == 422
    assert response.json()["detail"] == "The body is not encoded in UTF-8"


async def test_limits_hold_for_a_route_that_reads_the_body_itself(
    app_with_routers: Callable[..., FastAPI], database: Database
) -> None:
    router = APIRouter(route_class=EdgeRoute)

    @router.post("/hook")
    async def hook(request: Request) -> int:
        return len(await request.body())

    async with http_client(app_with_routers(router, database=database, **SMALL)) as client:
        taken = await client.post("/hook", content=b" " * 2**20)
        too_large = await client.post("/hook", content=slowly(*[b" " * 2**18] * 5))
        too_slow = await client.post("/hook", content=slowly(b" ", b" ", seconds=1))

    assert (taken.status_code, taken.json()) == (200, 2**20)
    assert (too_large.status_code, too_slow.status_code) == (413, 408)


async def test_route_may_state_a_limit_of_its_own(
    app_with_routers: Callable[..., FastAPI], database: Database
) -> None:
    router = APIRouter(route_class=EdgeRoute)

    @router.post("/upload")
    @body_limit(lambda settings: 2 * settings.max_body_bytes)
    async def upload(request: Request) -> int:
        return len(await request.body())

    async with http_client(app_with_routers(router, database=database, **SMALL)) as client:
        taken = await client.post("/upload", content=b" " * 2**21)
        too_large = await client.post("/upload", content=b" " * (2**21 + 1))

    assert (taken.status_code, taken.json()) == (200, 2**21)
    assert too_large.json()["detail"] == "The body has more than 2097152 bytes"


async def test_limits_hold_for_the_body_of_a_get_as_well(
    app_with_routers: Callable[..., FastAPI], database: Database
) -> None:
    router = APIRouter(route_class=EdgeRoute)

    @router.get("/search")
    async def search(query: Annotated[list[Any], Body()]) -> int:
        return len(query)

    async with http_client(app_with_routers(router, database=database, **SMALL)) as client:
        taken, too_large, too_deep = [
            await client.request("GET", "/search", json=body)
            for body in ([1], ["x" * 2**20], [[[[[1]]]]])
        ]

    assert (taken.status_code, taken.json()) == (200, 1)
    assert (too_large.status_code, too_deep.status_code) == (413, 422)


async def test_brackets_in_another_media_type_are_no_nesting(limited: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "text/plain"}
    response = await limited.post("/probes", content=nested(5), headers=headers)

    assert response.json()["detail"] == "The request is not valid; see errors"


values = st.recursive(
    st.none() | st.text(st.sampled_from('[]{}"\\a')),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.sampled_from('[{"\\')), inner),
)


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value
    is_container = isinstance(value, dict | list)
    return 1 + max(map(depth, inner), default=0) if is_container else 0


@given(values, st.integers(1, 5))
def test_depth_is_that_of_the_value(value: Any, limit: int) -> None:
    assert is_deeper(json.dumps(value).encode(), limit) == (depth(value) > limit)


@pytest.mark.parametrize("path", ["/probes", "/nowhere"])
async def test_query_that_is_too_long_is_refused(limited: httpx.AsyncClient, path: str) -> None:
    response = await limited.get(f"{path}?{'&' * 257}")

    assert response.status_code == 414
    assert response.json()["code"] == "URI_TOO_LONG"
    assert (await limited.get(f"/probes?{'&' * 256}")).status_code == 200


async def test_path_that_is_too_long_is_refused_and_not_repeated(
    limited: httpx.AsyncClient,
) -> None:
    response = await limited.get("/" + "a" * 1000)

    assert (response.status_code, response.json()["code"]) == (414, "URI_TOO_LONG")
    assert response.json()["detail"] == "The path has more than 256 bytes"
    assert len(response.content) < 600
    assert (await limited.get("/" + "a" * 255)).status_code == 404
    assert (await limited.get("/" + "\u20ac" * 28)).status_code == 404
    assert (await limited.get("/" + "\u20ac" * 29)).status_code == 414  # 9 bytes each


def test_path_of_a_server_that_decodes_it_is_measured_in_bytes() -> None:
    scope = {"type": "http", "query_string": b"", "headers": [], "path": "/" + "\u20ac" * 100}

    assert refuse_long_target(scope, 300)
    assert not refuse_long_target(scope, 301)
