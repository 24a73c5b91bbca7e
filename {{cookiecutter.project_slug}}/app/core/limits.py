"""What a request may be, before anything is made of it."""

import asyncio
import re
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any, Final

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.config import Settings
from app.core.problems import problem_response
from app.exceptions import ContentTooLargeError, RequestTimeoutError, ValidationError

# A JSON string, ended or not, or a bracket. Possessive, so that each byte is read once.
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.?)*+(?:"|\Z)|[\[{]|[\]}]', re.DOTALL)


class QueryLimit:
    """ASGI middleware: a query string of more than `limit` bytes is answered by 414."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and len(scope["query_string"]) > self._limit:
            refusal = problem_response(
                Request(scope),
                status=HTTPStatus.REQUEST_URI_TOO_LONG,
                detail=f"The query string has more than {self._limit} bytes",
            )
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)


class BoundedRoute(APIRoute):
    """Reads the body of a request before it does anything, within limits of size, time and depth.

    Starlette's own `max_body_size` answers in plain text, whatever the app has to say.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def read_and_handle(request: Request) -> Response:
            settings: Settings = request.app.state.settings
            request = Request(request.scope, _bounded(request, settings.max_body_bytes))
            await _read_body(request, settings)
            return await handle(request)

        return read_and_handle


def _bounded(request: Request, limit: int) -> Receive:
    """Return the messages of a request. Raises `ContentTooLargeError` for too large a body."""
    too_large = ContentTooLargeError(f"The body has more than {limit} bytes")
    if int(request.headers.get("Content-Length", 0)) > limit:
        raise too_large
    size = 0

    async def receive() -> Message:
        nonlocal size
        message = await request.receive()
        size += len(message.get("body", b""))
        if size > limit:
            raise too_large
        return message

    return receive


async def _read_body(request: Request, settings: Settings) -> None:
    """Have the request keep its body. Raises `RequestTimeoutError` or `ValidationError`."""
    try:
        async with asyncio.timeout(settings.body_timeout):
            body = await request.body()
    except TimeoutError:
        raise RequestTimeoutError(
            f"The body did not arrive within {settings.body_timeout:g} s"
        ) from None
    except ClientDisconnect:
        raise ValidationError("The connection ended within the body") from None
    is_json = "json" in request.headers.get("Content-Type", "")
    if is_json and is_deeper(body, settings.max_json_depth):
        raise ValidationError(
            f"The body nests deeper than {settings.max_json_depth} arrays and objects"
        )


def is_deeper(body: bytes, limit: int) -> bool:
    """Say whether a JSON text nests more than `limit` arrays and objects in one another."""
    if body.count(b"[") + body.count(b"{") <= limit:
        return False
    depth = 0
    for token in _TOKEN.finditer(body):
        first = token[0][:1]
        if first in b"[{":
            depth += 1
            if depth > limit:
                return True
        elif first in b"]}":
            depth -= 1
    return False
