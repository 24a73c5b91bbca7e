"""Requests of the probes, and what came of them."""

import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import httpx

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


@dataclass(frozen=True)
class Answer:
    """An answer. Without one, the status is 0 and `lack` says why: refused, cut or late."""

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


class Caller:
    """Sends requests on as many connections as there are requests at once."""

    def __init__(self, clients: list[httpx.AsyncClient]) -> None:
        self._clients = cycle(clients)

    async def ask(self, request: Request, patience: float = PATIENCE) -> Answer:
        """Send a request; wait so many seconds for the answer at most."""
        options: dict[str, Any] = {"headers": request.headers, "timeout": patience}
        if request.form is not None:
            options["data"] = request.form
        elif request.body is not None:
            # Escaped, so that any code unit can be sent.
            options["content"] = json.dumps(request.body)
            options["headers"] = {"Content-Type": "application/json"} | request.headers
        started = time.monotonic()
        try:
            response = await next(self._clients).request(request.method, request.path, **options)
        except httpx.TransportError as error:
            return Answer(0, time.monotonic() - started, lack=lack_of(error))
        seconds = time.monotonic() - started
        return Answer(response.status_code, seconds, response.headers, response.content)


def lack_of(error: httpx.TransportError) -> str:
    if isinstance(error, httpx.ConnectError):
        return "refused"
    return "late" if isinstance(error, httpx.TimeoutException) else "cut"


@asynccontextmanager
async def calling(url: str, clients: int = 20) -> AsyncIterator[Caller]:
    """Open clients. Several, because the time httpx takes for a request grows with its connections."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with AsyncExitStack() as stack:
        opened = [
            await stack.enter_async_context(
                httpx.AsyncClient(base_url=url, limits=limits, trust_env=False)
            )
            for _ in range(clients)
        ]
        yield Caller(opened)


def tally(answers: Iterable[Answer]) -> str:
    """Return how often each status came, such as `1x 201, 49x 409`."""
    kinds = Counter(str(answer.status or answer.lack) for answer in answers)
    return ", ".join(f"{number}x {kind}" for kind, number in sorted(kinds.items())) or "none"
