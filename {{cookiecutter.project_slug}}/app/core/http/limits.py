"""Limits of requests: path, query string, body size and time, JSON depth, senders of large bodies."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final, NamedTuple, TypeVar

from fastapi import Request, Response
from starlette.requests import ClientDisconnect
from starlette.types import Message, Scope

from app.core.config import Settings
from app.core.http.problems import problem_response
from app.exceptions import AppError, ContentTooLargeError, RequestTimeoutError, ValidationError

_BYTE_ORDER_MARKS: Final = {b"\xfe\xff", b"\xff\xfe"}

_AS_LISTS: Final = bytes.maketrans(b"{}", b"[]")
_NO_STRUCTURE: Final = bytes(set(range(256)) - set(b'[]{}"'))


FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


class BodyLimit(NamedTuple):
    """The maximum size of a route's body, in bytes, and who may send it."""

    size: Callable[[Settings], int]
    admit: Callable[[Request], Awaitable[None]] | None = None


_stated: Final[dict[Callable[..., Any], BodyLimit]] = {}


def body_limit(
    size: Callable[[Settings], int], admit: Callable[[Request], Awaitable[None]] | None = None
) -> Callable[[FunctionT], FunctionT]:
    """State the maximum size of a route's body, in bytes, where MAX_BODY_BYTES does not fit.

    `admit` raises a domain error for clients that may not send it, before it is parsed: FastAPI parses
    bodies before it solves dependencies, and large ones cost time. Put it below `@router.post`.

    (FastAPI's own `max_body_size` responds in plain text, and no setting can change it.)
    """

    def state(endpoint: FunctionT) -> FunctionT:
        _stated[endpoint] = BodyLimit(size, admit)
        return endpoint

    return state


def stated_body_limit(endpoint: Callable[..., Any]) -> BodyLimit | None:
    """Return the limit that `body_limit` has stated for a route, or None."""
    return _stated.get(endpoint)


async def require_admission(request: Request, stated: BodyLimit) -> None:
    """Raise the error of `BodyLimit.admit`, after the body was received.

    A client that is still sending may lose a response (RFC 9112, section 9.6).
    """
    if stated.admit:
        try:
            await stated.admit(request)
        except AppError:
            with suppress(AppError, ClientDisconnect):
                await request.body()
            raise


def refuse_long_target(scope: Scope, limit: int) -> Response | None:
    """Return a 414 for a query string or path of more than `limit` bytes, or None."""
    if len(scope["query_string"]) > limit:
        part = "query string"
    elif len(scope.get("raw_path") or scope["path"].encode()) > limit:  # as it was sent
        part = "path"
        scope = {**scope, "path": scope["path"][:limit]}  # the response names it
    else:
        return None
    return problem_response(
        Request(scope),
        status=HTTPStatus.REQUEST_URI_TOO_LONG,
        detail=f"The {part} has more than {limit} bytes",
    )


async def limit_body(request: Request, settings: Settings, limit: int) -> Request:
    """Return a request whose body is limited in size and time.

    Raises `ContentTooLargeError`, and so does reading the body, or `RequestTimeoutError`.
    """
    body = _LimitedBody(request, limit, settings.body_timeout)
    await body.refuse_announced_size()
    return Request(request.scope, body.receive)


class _LimitedBody:
    """Receives the messages of a request within the limits."""

    def __init__(self, request: Request, limit: int, seconds: float) -> None:
        self._request = request
        self._limit = limit
        self._seconds = seconds
        self._end = asyncio.get_running_loop().time() + self._seconds
        self._size = 0
        self._is_read = False

    async def refuse_announced_size(self) -> None:
        """Raise `ContentTooLargeError` if `Content-Length` exceeds the limit."""
        announced = self._request.headers.get("Content-Length", "")
        # No more digits than `int` accepts: it raises an error for more than 4300.
        if announced.isdecimal() and (len(announced) > 18 or int(announced) > self._limit):
            if "Expect" not in self._request.headers:  # else the client has not sent it yet
                await self._discard()
            raise self._too_large()

    async def receive(self) -> Message:
        """Return the next message. Raises `ContentTooLargeError` and `RequestTimeoutError`."""
        if self._is_read:
            return await self._request.receive()  # waits for the client to disconnect
        message = await self._next()
        self._size += len(message.get("body", b""))
        if self._size > self._limit:
            await self._discard()
            raise self._too_large()
        return message

    async def _next(self) -> Message:
        try:
            async with asyncio.timeout_at(self._end):
                message = await self._request.receive()
        except TimeoutError:
            raise RequestTimeoutError(
                f"The body did not arrive within {self._seconds:g} s"
            ) from None
        self._is_read = not message.get("more_body", False)
        return message

    async def _discard(self) -> None:
        """Read and drop the rest of the body, within the time limit.

        A client that is still sending when the connection is closed may lose the response (RFC
        9112, section 9.6).
        """
        with suppress(RequestTimeoutError):
            while not self._is_read:
                await self._next()

    def _too_large(self) -> ContentTooLargeError:
        return ContentTooLargeError(f"The body has more than {self._limit} bytes")


async def read_body(request: Request) -> None:
    """Read the body before FastAPI does, which would respond to any error with 400.

    Raises `ContentTooLargeError`, `RequestTimeoutError`, and `ValidationError` for a body that is
    incomplete, or JSON that nests too deep or is not in UTF-8.
    """
    settings: Settings = request.app.state.settings
    try:
        body = await request.body()
    except ClientDisconnect:
        raise ValidationError("The connection was closed before the body was complete") from None
    if "json" not in request.headers.get("Content-Type", "").lower():
        return
    # UTF-16 and UTF-32, which `json.loads` also accepts (RFC 8259, section 8.1, does not).
    if b"\0" in body[:4] or body[:2] in _BYTE_ORDER_MARKS:
        raise ValidationError("The body is not encoded in UTF-8")
    if is_deeper(body, settings.max_json_depth):
        raise ValidationError(
            f"The body nests deeper than {settings.max_json_depth} arrays and objects"
        )


def is_deeper(body: bytes, limit: int) -> bool:
    """Return whether a JSON text nests more than `limit` arrays and objects.

    Removes strings and everything but brackets, then up to `limit` times the innermost pairs. A loop
    over the characters or the strings would take longer than parsing the text.
    """
    if body.count(b"[") + body.count(b"{") <= limit:
        return False
    unescaped = body.replace(rb"\\", b"").replace(rb"\"", b"")
    # Without "", which ends one string and starts another, or the same.
    quoted = unescaped.translate(_AS_LISTS, _NO_STRUCTURE).replace(b'""', b"")
    brackets = b"".join(quoted.split(b'"')[::2])
    for _ in range(limit):
        rest = brackets.replace(b"[]", b"")
        if len(rest) == len(brackets):
            break
        brackets = rest
    return b"[" in brackets
