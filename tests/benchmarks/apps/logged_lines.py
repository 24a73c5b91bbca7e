"""Measures Uvicorn's access line and the service's line of a request, in turns; prints JSON to stderr.

Both are written to stdout, which has to be a pipe. The times are CPU time of the process, in
microseconds for each line, its thread included.
"""

import asyncio
import json
import logging
import sys
import time
from collections.abc import Callable
from statistics import median

from app.core.observability.line_formats import EscapedRecord
from app.core.observability.logs import configure_logging, queued_lines
from app.core.observability.request_log import RequestLog
from app.core.observability.requests import RequestRecord, start_record
from uvicorn.logging import AccessFormatter
from uvicorn.protocols.utils import get_client_addr, get_path_with_query_string

ROUNDS, LINES = 15, 2000
SCOPE = {
    "type": "http",
    "method": "GET",
    "path": "/posts/4711",
    "query_string": b"",
    "http_version": "1.1",
    "headers": [],
    "client": ("127.0.0.1", 12345),
}

logger = logging.getLogger("uvicorn.access")
requests = RequestLog()


def access_line(_record: RequestRecord) -> None:
    logger.info(
        '%s - "%s %s HTTP/%s" %d',
        get_client_addr(SCOPE),
        SCOPE["method"],
        get_path_with_query_string(SCOPE),
        SCOPE["http_version"],
        200,
    )


async def seconds(log: Callable[[RequestRecord], None], record: RequestRecord) -> float:
    began = time.process_time()
    for _ in range(LINES):
        log(record)
        await asyncio.sleep(0)  # the loop looks for events, as it does between requests
    return time.process_time() - began


async def measure(record: RequestRecord) -> dict[str, list[float]]:
    ways = {
        "nothing": (lambda _: None, logging.LogRecord),
        "access line": (access_line, logging.LogRecord),
        "access line, escaped": (access_line, EscapedRecord),
        "request line": (requests.finished, EscapedRecord),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    with queued_lines():
        for _ in range(ROUNDS):
            for name, (log, factory) in ways.items():
                logging.setLogRecordFactory(factory)
                found[name].append(await seconds(log, record) / LINES * 1e6)
    return found


async def main() -> None:
    """Measure within a request, so that the lines have its context."""
    configure_logging()
    logging.getLogger("app").setLevel(logging.INFO)
    handler = logging.StreamHandler(sys.stdout)
    formatter = '%(levelprefix)s %(client_addr)s - "%(request_line)s" %(status_code)s'
    handler.setFormatter(AccessFormatter(formatter))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    record = start_record(SCOPE, lambda _: "/posts/{post_id}", None)
    record.status, record.client, record.seconds, record.sent = 200, "127.0.0.1", 0.00123, 345
    found = await measure(record)
    added = {
        name: median(a - b for a, b in zip(found[name], found["nothing"], strict=True))
        for name in found
        if name != "nothing"
    }
    figures = {f"{name}, µs": round(value, 1) for name, value in added.items()}
    for name in ("access line", "access line, escaped"):
        figures[f"request line / {name}"] = round(added["request line"] / added[name], 2)
    print(json.dumps(figures), file=sys.stderr)


asyncio.run(main())
