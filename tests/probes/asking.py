"""Requests of the probes, and what came of them."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import httpx
from http_responses import Response, clients_of, response_to

PATIENCE = 40.0  # seconds; more than any probe lets a service wait


@dataclass(frozen=True)
class Request:
    """A request with a JSON body, or with a form, or without a body."""

    method: str
    path: str
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    form: dict[str, str] | None = None

    def adding(self, **headers: str) -> "Request":
        """Return the same request with more headers; `_` stands for `-` in their names."""
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return Request(self.method, self.path, self.body, self.headers | more, self.form)


class Caller:
    """Sends requests on as many connections as there are requests at once."""

    def __init__(self, clients: list[httpx.AsyncClient]) -> None:
        self._clients = cycle(clients)

    async def ask(self, request: Request, patience: float = PATIENCE) -> Response:
        """Send a request; wait so many seconds for the response at most."""
        options: dict[str, Any] = {"headers": request.headers, "timeout": patience}
        if request.form is not None:
            options["data"] = request.form
        elif request.body is not None:
            # Escaped, so that any code unit can be sent.
            options["content"] = json.dumps(request.body)
            options["headers"] = {"Content-Type": "application/json"} | request.headers
        return await response_to(next(self._clients), request.method, request.path, **options)


@asynccontextmanager
async def calling(url: str, clients: int = 20) -> AsyncIterator[Caller]:
    """Open clients."""
    async with clients_of(url, clients) as opened:
        yield Caller(opened)


def tally(responses: Iterable[Response]) -> str:
    """Return how often each status came, such as `1x 201, 49x 409`."""
    kinds = Counter(str(response.status or response.lack) for response in responses)
    return ", ".join(f"{number}x {kind}" for kind, number in sorted(kinds.items())) or "none"
