"""The header in which the gateway in front of the service names the caller."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send


@dataclass(frozen=True, slots=True)
class GatewayCaller:
    """The caller that the gateway names."""

    name: str


class GatewayHeaderMiddleware:
    """ASGI middleware: removes the header unless the request comes from a trusted proxy.

    It has to run before the middleware that replaces the proxy's address by the client's.
    """

    def __init__(self, app: ASGIApp, header: str, trusted: Sequence[Any]) -> None:
        self._app = app
        self._header = header.lower().encode()
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in {"http", "websocket"} and not self._is_trusted(scope):
            headers = [pair for pair in scope["headers"] if pair[0] != self._header]
            scope = {**scope, "headers": headers}
        await self._app(scope, receive, send)

    def _is_trusted(self, scope: Scope) -> bool:
        client = scope.get("client")
        try:
            address = ip_address(client[0]) if client else None
        except ValueError:  # a Unix socket
            address = None
        return address is not None and any(address in network for network in self._trusted)
