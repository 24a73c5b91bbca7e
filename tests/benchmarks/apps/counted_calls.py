"""Counts the function calls of one request to the baked app, in this process; prints them as JSON.

The requests are on stdin: their names, each with method, path, query, headers and body.
"""

import asyncio
import json
import pstats
import sys
from cProfile import Profile
from typing import Any

from app.asgi import app

WARM_UP, COUNTED = 30, 20


async def send(request: dict[str, Any]) -> int:
    """Send a request to the app without a server, and return the status of the response."""
    body = request["body"].encode()
    messages = [{"type": "http.request", "body": body, "more_body": False}]
    statuses = []

    async def receive_message() -> dict[str, Any]:
        if not messages:
            await asyncio.Event().wait()  # the client stays
        return messages.pop()

    async def send_message(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    headers = {"host": "localhost"} | request["headers"]
    if body:
        headers["content-length"] = str(len(body))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request["method"],
        "scheme": "http",
        "path": request["path"],
        "raw_path": request["path"].encode(),
        "query_string": request["query"].encode(),
        "root_path": "",
        "headers": [(name.encode(), text.encode()) for name, text in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
        "state": {},
    }
    await app(scope, receive_message, send_message)
    return statuses[0]


async def count(request: dict[str, Any]) -> int:
    """Return the calls of one request: the mean, because a few depend on the clock."""
    for _ in range(WARM_UP):
        status = await send(request)
        assert status in (200, 201), (request, status)
    profile = Profile()
    with profile:
        for _ in range(COUNTED):
            await send(request)
    return round(pstats.Stats(profile).total_calls / COUNTED)


async def main() -> dict[str, int]:
    async with app.router.lifespan_context(app):
        return {name: await count(request) for name, request in json.load(sys.stdin).items()}


print(json.dumps(asyncio.run(main())))
