"""Counts the function calls of requests to an app in this process.

Reads one JSON object from stdin: `app` (as uvicorn takes it) and `requests`, the raw texts of HTTP
requests by name, in which `{n}` stands for a number that no other request has. Prints one JSON object:
the calls of each request, the median of several.
"""

import asyncio
import cProfile
import gc
import json
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib import import_module
from itertools import count
from statistics import median
from typing import Any

WARM_UP = 30  # connections, prepared statements, caches
REPEATS = 31

numbers = count(time.time_ns())


def parse(request: str) -> tuple[dict[str, Any], bytes]:
    """Return the ASGI scope of a request, and its body."""
    head, _, body = request.replace("{n}", f"{next(numbers):019}").partition("\r\n\r\n")
    line, *fields = head.split("\r\n")
    method, target, _ = line.split()
    path, _, query = target.partition("?")
    headers = [tuple(part.strip() for part in field.split(":", 1)) for field in fields if field]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }
    return scope, body.encode()


async def send_request(app: Any, request: str) -> int:
    """Send a request and return how many functions were called for it."""
    scope, body = parse(request)
    messages: list[dict[str, Any]] = []
    body_is_read = False

    async def receive() -> dict[str, Any]:
        nonlocal body_is_read
        if body_is_read:
            await asyncio.Event().wait()  # the client stays
        body_is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    profile = cProfile.Profile()
    profile.enable()
    await app(scope, receive, send)
    profile.disable()
    if messages[0]["status"] not in {200, 201}:
        raise AssertionError(messages)
    return sum(entry.callcount for entry in profile.getstats())


@asynccontextmanager
async def running(app: Any) -> AsyncGenerator[None]:
    """Run the lifespan of an app around a block."""
    received: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    lifespan = asyncio.create_task(app(scope, received.get, sent.put))
    await received.put({"type": "lifespan.startup"})
    assert (await sent.get())["type"] == "lifespan.startup.complete"
    yield
    await received.put({"type": "lifespan.shutdown"})
    await lifespan


async def count_calls(app: Any, requests: dict[str, str]) -> dict[str, int]:
    calls = {}
    async with running(app):
        for name, request in requests.items():
            for _ in range(WARM_UP):
                await send_request(app, request)
            calls[name] = int(median([await send_request(app, request) for _ in range(REPEATS)]))
    return calls


if __name__ == "__main__":
    wanted = json.load(sys.stdin)
    module, _, attribute = wanted["app"].partition(":")
    gc.disable()  # it calls finalizers, whenever it runs
    app = getattr(import_module(module), attribute)
    print(json.dumps(asyncio.run(count_calls(app, wanted["requests"]))))
