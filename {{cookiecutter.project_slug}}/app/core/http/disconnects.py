"""Cancellation of requests whose client has disconnected."""

import asyncio
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_NO_BODY: Final = (b"content-length", b"0")
_BODY_HEADERS: Final = {b"content-length", b"transfer-encoding"}


class CancelOnDisconnect:
    """ASGI middleware: cancels a request whose client disconnects before the response starts.

    Its transaction is then rolled back and its connection returned to the pool. Only requests that
    take longer than `grace` seconds are watched, so that fast ones need no extra task.
    """

    def __init__(self, app: ASGIApp, grace: float = 0.1) -> None:
        self._app = app
        self._grace = grace

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        watch = _Watch(receive, send, self._grace, has_body=_has_body(scope))
        try:
            await self._app(scope, watch.receive, watch.send)
        except asyncio.CancelledError:
            if not watch.disconnected:
                raise
            watch.request.uncancel()  # handled: no client waits for a response
        finally:
            watch.stop()


def _has_body(scope: Scope) -> bool:
    return any(
        name in _BODY_HEADERS and (name, value) != _NO_BODY for name, value in scope["headers"]
    )


class _Watch:
    """Watches one request until its response starts."""

    def __init__(self, receive: Receive, send: Send, grace: float, *, has_body: bool) -> None:
        self.disconnected = False
        self._receive = receive
        self._send = send
        self._body_is_read = not has_body
        self._watcher: asyncio.Task[None] | None = None
        self._grace = grace
        self._loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task  # noqa: S101 (a coroutine runs in a task)
        self.request = task
        self._timer = self._loop.call_later(grace, self._start)

    async def receive(self) -> Message:
        message = await self._receive()
        if not message.get("more_body", False):
            self._body_is_read = True
        return message

    async def send(self, message: Message) -> None:
        self.stop()  # the server handles disconnects from here on
        await self._send(message)

    def stop(self) -> None:
        self._timer.cancel()
        if self._watcher:
            self._watcher.cancel()

    def _start(self) -> None:
        if self._body_is_read:
            self._watcher = self._loop.create_task(self._wait_for_disconnect())
        else:  # the app still reads the body, and would miss messages that the watcher receives
            self._timer = self._loop.call_later(self._grace, self._start)

    async def _wait_for_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass  # the empty body message of a request without a body
        self.disconnected = True
        self.request.cancel()
