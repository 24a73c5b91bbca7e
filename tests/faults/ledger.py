"""Writers that keep a ledger, which is compared with the tables as Jepsen's set test does.

Each writer sends a unique value until it is acknowledged, with the same Idempotency-Key. What is
acknowledged must be there, under the id in the response, and nothing may be there twice.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from http_responses import Response

from faults.caller import BROKEN, Caller
from faults.postgres_process import PATIENCE, PostgresProcess

PAUSE = 0.1  # seconds between two attempts at the same write


@dataclass(frozen=True)
class Verdict:
    """What the comparison of the ledger with the tables found."""

    writes: int
    lost: list[str]
    duplicated: list[str]
    unexpected: list[str]

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.duplicated or self.unexpected)

    def __str__(self) -> str:
        return (
            f"{self.writes} writes acknowledged, lost = {len(self.lost)}, "
            f"duplicated = {len(self.duplicated)}, unexpected = {len(self.unexpected)}"
        )


@dataclass
class Ledger:
    """What was sent, and the id under which it was acknowledged."""

    caller: Caller
    author_id: int
    sent: set[str] = field(default_factory=set)
    acknowledged: dict[str, int] = field(default_factory=dict)

    async def write(self) -> None:
        """Write one value; return when it is acknowledged."""
        value = uuid4().hex
        self.sent.add(value)
        path, body = self._request(value)
        while (response := await self.caller.post(path, body, key=value)).status != 201:
            require_reason_to_retry(response)
            await asyncio.sleep(PAUSE)
        self.acknowledged[value] = response.json()["id"]

    async def write_until_cancelled(self) -> None:
        while True:
            # A write that has begun is brought to its end, so that its outcome is known.
            with suppress(asyncio.CancelledError):
                await asyncio.shield(writing := asyncio.create_task(self.write()))
                continue
            await writing
            return

    async def grow(self, number: int) -> float:
        """Wait for so many more acknowledged writes; return the seconds until the first."""
        started, before = time.monotonic(), len(self.acknowledged)
        await self._reach(before + 1)
        first = time.monotonic() - started
        await self._reach(before + number)
        return first

    def compare(self, server: PostgresProcess, database: str) -> Verdict:
        rows: list[tuple[str, int]] = server.query(
            "SELECT title, id FROM posts WHERE author_id = %s "
            "UNION ALL SELECT display_name, id FROM users WHERE id > %s",
            self.author_id,
            self.author_id,
            database=database,
        )
        copies = Counter(value for value, _ in rows)
        stored = dict(rows)
        return Verdict(
            writes=len(self.acknowledged),
            lost=[value for value, id_ in self.acknowledged.items() if stored.get(value) != id_],
            duplicated=[value for value, number in copies.items() if number > 1],
            unexpected=[value for value in copies if value not in self.sent],
        )

    def _request(self, value: str) -> tuple[str, dict[str, Any]]:
        """Make every fourth write a user; only posts could be there twice."""
        if len(self.sent) % 4 == 0:
            email = f"{value}@example.com"
            return "/users", {"email": email, "display_name": value} | self.caller.secret
        return "/posts", {"author_id": self.author_id, "title": value, "body": "Body"}

    async def _reach(self, number: int) -> None:
        """Wait for a number of acknowledged writes. Fails when they stop coming."""
        seen, end = len(self.acknowledged), time.monotonic() + PATIENCE
        while seen < number:
            await asyncio.sleep(0.01)
            if len(self.acknowledged) > seen:
                seen, end = len(self.acknowledged), time.monotonic() + PATIENCE
            assert time.monotonic() < end, f"no write in {PATIENCE} s: {self.caller.responses[-5:]}"


def require_reason_to_retry(response: Response) -> None:
    """Fail if a write is refused for good: nobody else sends its value or holds its key."""
    in_flight = response.status == 409 and b"is being processed" in response.content
    assert in_flight or response.status in {503, BROKEN}, response


@asynccontextmanager
async def writers(ledger: Ledger, number: int) -> AsyncIterator[None]:
    """Keep so many writers writing; let each finish the write it is at."""
    tasks = [asyncio.create_task(ledger.write_until_cancelled()) for _ in range(number)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)
