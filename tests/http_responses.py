"""Requests to a service that may fail at any moment, and what came of them."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx


@dataclass(frozen=True)
class Response:
    """A response. Without one, the status is 0 and `lack` says why: refused, cut or late."""

    status: int
    seconds: float
    headers: httpx.Headers = field(default_factory=httpx.Headers)
    content: bytes = b""
    lack: str = ""

    @property
    def succeeded(self) -> bool:
        return 200 <= self.status < 300

    @property
    def refused(self) -> bool:
        """Say whether the client is told that the request is at fault."""
        return 400 <= self.status < 500

    def json(self) -> Any:
        return json.loads(self.content)


async def response_to(
    client: httpx.AsyncClient, method: str, path: str, **options: Any
) -> Response:
    """Send a request."""
    started = time.monotonic()
    try:
        response = await client.request(method, path, **options)
    except httpx.TransportError as error:
        return Response(0, time.monotonic() - started, lack=_lack_of(error))
    seconds = time.monotonic() - started
    return Response(response.status_code, seconds, response.headers, response.content)


def _lack_of(error: httpx.TransportError) -> str:
    if isinstance(error, httpx.ConnectError):
        return "refused"
    return "late" if isinstance(error, httpx.TimeoutException) else "cut"


@asynccontextmanager
async def clients_of(
    url: str, number: int = 20, **options: Any
) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Open clients without a limit on connections.

    Several, because the time that httpx takes for a request grows with the number of connections.
    """
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                httpx.AsyncClient(base_url=url, limits=limits, trust_env=False, **options)
            )
            for _ in range(number)
        ]
