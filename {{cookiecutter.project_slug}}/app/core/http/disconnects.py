"""Cancellation of requests whose client has disconnected."""

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Final

from starlette.types import Message, Receive

# Seconds after which a request is watched. Fast ones need no task of their own.
GRACE: Final = 0.1


class DisconnectWatch:
    """Cancels the block if the client disconnects before the response starts, when `stop` is called.

    The transaction of the request is then rolled back and its connection returned to the pool. The
    block then ends without an error. Inside it, receive messages by `receive`. `headers` are those
    of the request.
    """

    def __init__(
        self, headers: Mapping[bytes, bytes], receive: Receive, grace: float = GRACE
    ) -> None:
        self._receive = receive
        self._grace = grace
        has_body = headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
        self._body_is_read = not has_body
        self._empty_body: Message | None = None
        self.has_disconnected = False
        self._has_cancelled = False
        self._watcher: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        task = asyncio.current_task(self._loop)
        assert task  # noqa: S101 (a coroutine runs in a task)
        self._request = task
        self._cancelled_before = task.cancelling()
        self._timer = self._loop.call_later(grace, self._start)

    async def receive(self) -> Message:
        """Return the next message of the client."""
        message, self._empty_body = self._empty_body or await self._receive(), None
        if not message.get("more_body", False):
            self._body_is_read = True
            self.has_disconnected = message["type"] == "http.disconnect"
        return message

    def stop(self) -> None:
        """Stop watching. The server handles disconnects from here on."""
        self._timer.cancel()
        if self._watcher:
            self._watcher.cancel()

    def __enter__(self) -> None: ...

    def __exit__(
        self, _kind: object, error: BaseException | None, _traceback: TracebackType | None
    ) -> bool:
        self.stop()
        if not self._has_cancelled or not isinstance(error, asyncio.CancelledError):
            return False
        # Handled, because no client waits for a response, unless someone else cancels the task too.
        return self._request.uncancel() <= self._cancelled_before

    def _start(self) -> None:
        if self._body_is_read:
            self._watcher = self._loop.create_task(self._wait_for_disconnect())
        else:  # the app still reads the body, and would miss messages that the watcher receives
            self._timer = self._loop.call_later(self._grace, self._start)

    async def _wait_for_disconnect(self) -> None:
        while (message := await self._receive())["type"] != "http.disconnect":
            self._empty_body = message  # of a request without a body: the app may read it yet
        self.has_disconnected = self._has_cancelled = True
        self._request.cancel()
