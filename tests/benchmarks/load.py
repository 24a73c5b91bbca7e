"""Closed-loop load on a server of this machine: a process of its own, so that it can have its own core.

Reads one JSON object from stdin: `port`, `connections`, `seconds`, and `request`, the raw text of an
HTTP request in which `{n}` stands for a number that no other request has. Prints one JSON object:
`seconds`, `cpu_seconds` (what this process itself took of them), `statuses` (how often each came) and
`latencies` (milliseconds, sorted).
"""

import asyncio
import json
import sys
import time
from collections import Counter
from itertools import count
from typing import Any

try:
    from uvloop import run
except ImportError:  # not on Windows
    run = asyncio.run  # type: ignore[assignment]

END_OF_HEADERS = b"\r\n\r\n"
LENGTH = b"content-length: "


class Client(asyncio.Protocol):
    """Sends the next request when the one before has its response, until the time is over."""

    def __init__(self, load: "Load") -> None:
        self.load = load
        self.buffer = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def send(self) -> None:
        self.started = time.perf_counter()
        self.transport.write(self.load.next_request())

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, body = self.buffer.partition(END_OF_HEADERS)
        if not found or len(body) < body_length(head):
            return
        now = time.perf_counter()
        self.load.statuses[int(head[9:12])] += 1
        self.load.latencies.append((now - self.started) * 1000)
        self.buffer = b""
        if now < self.load.end:
            self.send()
        else:
            self.done.set_result(None)

    def connection_lost(self, _: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError("the server closed a connection"))


def body_length(head: bytes) -> int:
    _, found, rest = head.lower().partition(LENGTH)
    return int(rest.partition(b"\r\n")[0]) if found else 0


class Load:
    def __init__(self, request: str) -> None:
        self.before, found, self.after = (part.encode() for part in request.partition("{n}"))
        self.is_numbered = bool(found)
        self.numbers = count(time.time_ns())
        self.statuses: Counter[int] = Counter()
        self.latencies: list[float] = []
        self.end = 0.0

    def next_request(self) -> bytes:
        if not self.is_numbered:
            return self.before
        return b"%s%019d%s" % (self.before, next(self.numbers), self.after)

    async def run(self, port: int, connections: int, seconds: float) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        clients = [
            (await loop.create_connection(lambda: Client(self), "127.0.0.1", port))[1]
            for _ in range(connections)
        ]
        started, cpu = time.perf_counter(), time.process_time()
        self.end = started + seconds
        for client in clients:
            client.send()
        await asyncio.gather(*(client.done for client in clients))
        took = time.perf_counter() - started
        for client in clients:
            client.transport.close()
        return {
            "seconds": took,
            "cpu_seconds": time.process_time() - cpu,
            "statuses": self.statuses,
            "latencies": sorted(self.latencies),
        }


if __name__ == "__main__":
    wanted = json.load(sys.stdin)
    load = Load(wanted["request"])
    print(json.dumps(run(load.run(wanted["port"], wanted["connections"], wanted["seconds"]))))
