"""HEAD requests, which FastAPI's GET routes refuse.

They get the response to GET without its body (RFC 9110, section 9.3.2).
"""

import asyncio

from starlette.routing import Match
from starlette.types import Message, Scope, Send


def routed(scope: Scope) -> Scope:
    """Return the scope of a HEAD request with the method of the route that responds.

    Handlers see a GET request, unless their route declares HEAD itself.
    """
    as_get = {**scope, "method": "GET"}
    for route in scope["app"].routes:
        if route.matches({**scope})[0] == Match.FULL:
            return scope
        if route.matches({**as_get})[0] == Match.FULL:
            return as_get
    return scope


class WithoutBody:
    """Sends a response without its body."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._is_over = False

    async def __call__(self, message: Message) -> None:
        if message["type"] != "http.response.body":
            await self._send(message)
        elif not self._is_over:
            self._is_over = True
            await self._send({"type": "http.response.body", "body": b""})
        else:
            await asyncio.sleep(0)  # the server may now stop an endless stream
