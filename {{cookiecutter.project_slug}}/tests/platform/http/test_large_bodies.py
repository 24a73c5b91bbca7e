"""No request keeps the event loop for long, whatever is in its body.

What is measured is the time that the loop's thread computes between two turns of another task, so
other processes hardly count.
"""

import asyncio
import gc
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from itertools import chain
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

import pytest
from annotated_types import MaxLen
from fastapi import FastAPI
from fastapi.routing import APIRoute, RouteContext
from pydantic import BaseModel, FailFast
from pydantic.fields import FieldInfo
from starlette.types import Message, Scope

from app.core.config import Settings
from app.core.database import Database
from app.core.http.limits import stated_body_limit
from tests.bodies import filled, many
from tests.conftest import http_client
from tests.endpoints import PARAMETER, large_bodies, routes

MAX_HOLD: Final = 0.05  # seconds
LARGE: Final = 2**20
MAX_LOADS: Final = 4  # times `json.loads`, for bodies that may be larger than that
ATTEMPTS: Final = 9  # of which the best counts

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data; boundary=b"

# `json.loads` of this takes 2 ms where the limit was set. Slower machines get more time.
REFERENCE: Final = json.dumps([{"number": n, "text": "text"} for n in range(2500)]).encode()
REFERENCE_SECONDS: Final = 0.002


def json_bodies(fields: list[str], size: int) -> Iterator[tuple[str, bytes]]:
    """Yield bodies in JSON that are as large as the limit allows."""
    yield "unknown members", many(size, '"{}":1', b"{", b"}")
    yield "unknown lists", many(size, '"{}":[]', b"{", b"}")
    yield "one member often", filled(size, b'"a":1,', b"{", b'"a":1}')
    yield "list of nothing", filled(size, b"{},", b"[", b"{}]")
    yield "list of numbers", filled(size, b"1,", b"[", b"1]")
    yield "blanks", filled(size, b" ")
    yield "brackets", filled(size, b"[")
    yield "pairs of brackets", filled(size, b"[],", b"[", b"[]]")
    yield "brackets as deep as allowed", filled(size, b"[" * 31 + b"]" * 31 + b",", b"[", b"[]]")
    yield "quotes", filled(size, b'"')
    yield "backslashes", filled(size, b"\\", b'"')
    yield "digits", filled(size, b"9")
    yield "digits of a fraction", filled(size, b"9", b"0.")
    yield "not UTF-8", filled(size, b"\xff")
    yield "NUL", filled(size, b"\0")
    for name in fields:
        start = b'{"%s":' % name.encode()
        yield f"{name}: text", filled(size, b"x", start + b'"', b'"}')
        yield f"{name}: words", filled(size, b"a ", start + b'"', b'"}')
        yield f"{name}: @ and dots", filled(size, b"a.", start + b'"a@', b'com"}')
        yield f"{name}: at signs", filled(size, b"@", start + b'"', b'"}')
        yield f"{name}: long in NFKC", filled(size, "\ufdfa".encode(), start + b'"', b'"}')
        yield f"{name}: combining", filled(size, "\u0323\u0307".encode(), start + b'"', b'"}')
        yield f"{name}: surrogates", filled(size, rb"\ud800", start + b'"', b'"}')
        yield f"{name}: numbers", filled(size, b"1,", start + b"[", b"1]}")
        yield f"{name}: objects", filled(size, b"{},", start + b"[", b"{}]}")
        yield f"{name}: members", many(size, '"{}":1', start + b"{", b"}}")
        yield f"{name}: digits", filled(size, b"9", start, b"}")


def form_bodies(fields: list[str], size: int) -> Iterator[tuple[str, bytes, str]]:
    yield "empty fields", filled(size, b"a=&"), FORM
    yield "ampersands", filled(size, b"&"), FORM
    yield "one name", filled(size, b"a"), FORM
    yield "escapes", filled(size, b"%41", b"a="), FORM
    yield "percent signs", filled(size, b"%", b"a="), FORM
    part = b"--b\r\nContent-Disposition:form-data;name=a%s\r\n\r\n\r\n"
    yield "parts", filled(size, part % b"", after=b"--b--"), MULTIPART
    yield "files", filled(size, part % b";filename=a", after=b"--b--"), MULTIPART
    yield "headers of a part", filled(size, b"a:b\r\n", b"--b\r\n"), MULTIPART
    yield "no part", filled(size, b"\r\n--"), MULTIPART
    for name in fields:
        yield f"{name}: text", filled(size, b"x", name.encode() + b"="), FORM
        yield f"{name}: long in NFKC", filled(size, b"%EF%B7%BA", name.encode() + b"="), FORM
        yield f"{name} often", filled(size, f"{name}=a&".encode()), FORM


class Sender:
    """Sends requests to an app, without a client that computes in the same thread."""

    def __init__(self, app: FastAPI, headers: dict[str, str]) -> None:
        self._app = app
        self._headers = [(name.lower().encode(), headers[name].encode()) for name in headers]

    async def send(self, method: str, path: str, body: bytes, media_type: str) -> int:
        """Send a request, and return the status of the response."""
        statuses: list[int] = []
        parts = iter([body])

        async def receive() -> Message:
            for part in parts:
                return {"type": "http.request", "body": part, "more_body": False}
            return await asyncio.Future()  # the client stays

        async def send(message: Message) -> None:
            if "status" in message:
                statuses.append(message["status"])

        headers = [(b"content-type", media_type.encode()), (b"content-length", b"%d" % len(body))]
        scope: Scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": b"",
            "headers": [*self._headers, *headers],
        }
        await self._app(scope, receive, send)
        return statuses[0]


async def hold(send: Callable[[], Awaitable[object]]) -> float:
    """Return the longest time for which a request keeps the loop, in seconds."""
    longest = 0.0

    async def measure() -> None:
        nonlocal longest
        while True:
            began = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - began)

    measuring = asyncio.create_task(measure())
    await asyncio.sleep(0)
    await send()
    await asyncio.sleep(0)
    measuring.cancel()
    return longest


def loads(body: bytes) -> float:
    """Return the time that parsing takes, in seconds."""
    began = time.thread_time()
    with suppress(ValueError, RecursionError):
        json.loads(body)
    return time.thread_time() - began


def bodies(name: str, context: RouteContext, size: int) -> Iterator[tuple[str, bytes, str]]:
    """Yield what a client may send to a route: a name, the body, and its type."""
    info = context.body_field.field_info if context.body_field else None
    fields = list(getattr(info and info.annotation, "model_fields", {}))
    if getattr(info, "media_type", JSON) != JSON:
        yield from form_bodies(fields, size)
        return
    of_route = large_bodies().get(name)
    for shape, body in chain(json_bodies(fields, size), of_route(size) if of_route else ()):
        yield shape, body, JSON


def with_body(app: FastAPI, settings: Settings) -> list[tuple[str, RouteContext, int]]:
    """Return the routes that take a body: name, route, and the limit of the body."""
    found = []
    for name, context in routes(app).items():
        route = context.original_route
        assert isinstance(route, APIRoute)
        stated = stated_body_limit(route.endpoint)
        if route.body_field:
            limit = stated.size(settings) if stated else settings.max_body_bytes
            found.append((name.removeprefix(settings.api_prefix), context, limit))
    return found


def slowness() -> float:
    """Return how many times slower this machine is at the moment than where the limit was set.

    Twice as much, because other processes share the caches of the processor, and three times that
    while coverage traces the app.
    """
    margin = 6 if sys.gettrace() else 2
    return margin * max(1, min(loads(REFERENCE) for _ in range(9)) / REFERENCE_SECONDS)


@pytest.mark.long
async def test_no_request_keeps_the_event_loop_whatever_its_body(
    app: FastAPI, database: Database, settings: Settings, admin_headers: dict[str, str]
) -> None:
    app.state.database = database
    sender = Sender(app, admin_headers)
    # As the service does at its start: the collector must not scan what other tests have left.
    gc.collect()
    gc.freeze()
    measured: list[tuple[float, str]] = []

    for name, context, size in with_body(app, settings):
        method, path = PARAMETER.sub("1", name).split()
        for shape, body, media_type in bodies(name, context, size):
            assert len(body) <= size
            holds: list[float] = []
            allowed = MAX_HOLD
            while len(holds) < ATTEMPTS and min(holds, default=allowed) >= allowed:
                if holds:  # too long, maybe because the machine is slow, or busy now
                    allowed = max(allowed, MAX_HOLD * slowness())
                if len(body) > LARGE:
                    allowed = max(allowed, MAX_LOADS * loads(body) * (slowness() if holds else 1))
                holds.append(await hold(lambda: sender.send(method, path, body, media_type)))  # noqa: B023
            measured.append((min(holds) / allowed, f"{min(holds) * 1000:.1f} ms: {name}, {shape}"))

    measured.sort(reverse=True)
    print("The longest:", *(line for _, line in measured[:20]), sep="\n")  # noqa: T201
    assert [line for part, line in measured if part >= 1] == []


async def test_health_check_gets_a_response_between_such_requests(
    app: FastAPI, database: Database, admin_headers: dict[str, str]
) -> None:
    app.state.database = database
    sender = Sender(app, admin_headers)
    body = many(60_000, '"{}":1', b"{", b"}")
    done: list[int] = []

    async def attack() -> None:
        for _ in range(20):
            done.append(await sender.send("POST", "/users", body, JSON))
            await asyncio.sleep(0)

    attacking = asyncio.create_task(attack())
    statuses = []
    async with http_client(app) as client:
        while not attacking.done():
            statuses.append((await client.get("/health/live")).status_code)
            await asyncio.sleep(0)
    await attacking

    assert done == [422] * 20
    assert statuses.count(200) == len(statuses) > 1


async def test_members_beyond_those_of_the_schema_are_one_error(
    app: FastAPI, database: Database, admin_headers: dict[str, str]
) -> None:
    app.state.database = database
    async with http_client(app, headers=admin_headers) as client:
        response = await client.post("/users", json=dict.fromkeys(map(str, range(5000)), 1))

    assert response.status_code == 422
    assert len(response.content) < 2000
    (error,) = response.json()["errors"]
    assert error["code"] == "too_many_members"
    assert error["detail"].startswith("The object has 5000 members, but may only have: email")


def unbounded(kind: Any, metadata: tuple[Any, ...], path: str) -> Iterator[str]:
    """Yield the lists within a type whose errors a client can multiply."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            yield from unbounded(field.annotation, tuple(field.metadata), f"{path}.{name}")
        return
    if get_origin(kind) in {list, set, frozenset, dict, tuple}:
        kinds = {type(item) for item in metadata}
        if MaxLen not in kinds or (FailFast not in kinds and get_origin(kind) is not dict):
            yield path
    # Pydantic applies the constraints of a union to its members.
    outer = metadata if get_origin(kind) in {Union, UnionType} else ()
    for argument in get_args(kind):
        inner = tuple(constraints(getattr(argument, "__metadata__", ())))
        is_annotated = get_origin(argument) is Annotated
        member = get_args(argument)[0] if is_annotated else argument
        yield from unbounded(member, (*outer, *inner), path)


def constraints(metadata: tuple[Any, ...]) -> Iterator[Any]:
    for item in metadata:
        yield from item.metadata if isinstance(item, FieldInfo) else (item,)


def test_lists_in_bodies_are_bounded_and_their_first_error_ends_them(
    app: FastAPI, settings: Settings
) -> None:
    found = [
        path
        for name, context, _ in with_body(app, settings)
        if context.body_field
        for path in unbounded(context.body_field.field_info.annotation, (), name)
    ]

    assert found == [], "Write Annotated[list[...], FailFast()] = Field(max_length=...)"
