import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.config import Settings
from app.core.http.perimeter import Perimeter
from app.core.http.problem_handlers import respond_to_unexpected_error

REQUEST: Message = {"type": "http.request", "body": b"", "more_body": False}
DISCONNECT: Message = {"type": "http.disconnect"}


Call = Callable[..., Awaitable[list[Message]]]


@pytest.fixture
def call(settings: Settings) -> Call:
    """Return a function that sends messages to an app, then nothing, and returns what it has sent."""

    async def call(app: ASGIApp, *messages: Message, headers: Any = ()) -> list[Message]:
        sent: list[Message] = []
        waiting = list(messages)

        async def receive() -> Message:
            await asyncio.sleep(0.02)
            if waiting:
                return waiting.pop(0)
            return await asyncio.Future()

        async def send(message: Message) -> None:
            sent.append(message)

        scope: Scope = {
            "type": "http",
            "method": "GET",
            "path": "/",
            "query_string": b"",
            "headers": list(headers),
        }
        surrounded = Perimeter(
            app, settings, respond_to_unexpected_error, [], lambda _scope: "", grace=0.01
        )
        await asyncio.wait_for(surrounded(scope, receive, send), 5)
        return sent

    return call


async def never(_scope: Scope, _receive: Receive, _send: Send) -> None:
    await asyncio.Future()


async def read_then_never(_scope: Scope, receive: Receive, _send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await asyncio.Future()


async def test_work_for_a_client_that_has_gone_is_cancelled(call: Call) -> None:
    assert await call(never, REQUEST, DISCONNECT) == []


async def test_chunk_without_bytes_does_not_count_as_body(call: Call) -> None:
    headers = [(b"content-length", b"0")]

    assert await call(never, REQUEST, DISCONNECT, headers=headers) == []


async def test_body_is_left_to_the_app(call: Call) -> None:
    part = {**REQUEST, "body": b"x", "more_body": True}
    headers = [(b"content-length", b"2")]

    assert (
        await call(read_then_never, part, {**part, "more_body": False}, DISCONNECT, headers=headers)
        == []
    )


async def test_empty_body_is_left_to_an_app_that_reads_it_late(call: Call) -> None:
    async def read_late(_scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.1)
        assert await receive() == REQUEST
        await send({"type": "http.response.start", "status": 200, "headers": []})

    sent = await call(read_late, REQUEST)

    assert [message["type"] for message in sent] == ["http.response.start"]


async def test_response_that_has_started_is_not_cut_off(call: Call) -> None:
    async def response(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0.1)
        await send({"type": "http.response.body", "body": b"whole"})

    sent = await call(response, REQUEST, DISCONNECT)

    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


async def test_cancellation_by_others_is_passed_on(call: Call) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await call(never, REQUEST)


async def test_cancellation_by_others_is_passed_on_although_the_client_has_gone(
    settings: Settings,
) -> None:
    surrounded = Perimeter(
        never, settings, respond_to_unexpected_error, [], lambda _scope: "", grace=0.01
    )

    async def receive() -> Message:
        task.cancel()
        return DISCONNECT

    async def unused(*_: Any) -> Any:
        pytest.fail("nobody receives it")

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
    task = asyncio.ensure_future(surrounded(scope, receive, unused))

    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)


async def test_other_protocols_are_passed_on(settings: Settings) -> None:
    seen: list[Scope] = []

    async def record(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(scope)

    async def unused(*_: Any) -> Any:
        pytest.fail("not called")

    surrounded = Perimeter(record, settings, respond_to_unexpected_error, [], lambda _scope: "")
    await surrounded({"type": "lifespan"}, unused, unused)

    assert seen == [{"type": "lifespan"}]
