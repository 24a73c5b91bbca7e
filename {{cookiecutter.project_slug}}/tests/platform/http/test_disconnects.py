import asyncio
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.http.disconnects import CancelOnDisconnect

REQUEST: Message = {"type": "http.request", "body": b"", "more_body": False}
DISCONNECT: Message = {"type": "http.disconnect"}


async def call(app: ASGIApp, *messages: Message, headers: Any = ()) -> list[Message]:
    """Send messages to a wrapped app, then nothing, and return the messages that it sent."""
    sent: list[Message] = []
    waiting = list(messages)

    async def receive() -> Message:
        await asyncio.sleep(0.02)
        if waiting:
            return waiting.pop(0)
        return await asyncio.Future()

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "http", "headers": list(headers)}
    await asyncio.wait_for(CancelOnDisconnect(app, grace=0.01)(scope, receive, send), 5)
    return sent


async def never(_scope: Scope, _receive: Receive, _send: Send) -> None:
    await asyncio.Future()


async def read_then_never(_scope: Scope, receive: Receive, _send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await asyncio.Future()


async def test_work_for_a_client_that_has_gone_is_cancelled() -> None:
    assert await call(never, REQUEST, DISCONNECT) == []


async def test_body_of_no_bytes_is_none() -> None:
    headers = [(b"content-length", b"0")]

    assert await call(never, REQUEST, DISCONNECT, headers=headers) == []


async def test_body_is_left_to_the_app() -> None:
    part = {**REQUEST, "body": b"x", "more_body": True}
    headers = [(b"content-length", b"2")]

    assert (
        await call(read_then_never, part, {**part, "more_body": False}, DISCONNECT, headers=headers)
        == []
    )


async def test_response_that_has_started_is_not_cut_off() -> None:
    async def response(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0.1)
        await send({"type": "http.response.body", "body": b"whole"})

    sent = await call(response, REQUEST, DISCONNECT)

    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


async def test_cancellation_by_others_is_passed_on() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await call(never, REQUEST)


async def test_other_protocols_are_passed_on() -> None:
    seen: list[Scope] = []

    async def record(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(scope)

    async def unused(*_: Any) -> Any:
        pytest.fail("not called")

    await CancelOnDisconnect(record)({"type": "lifespan"}, unused, unused)

    assert seen == [{"type": "lifespan"}]
