"""A kind of job for tests, and what they ask of the queue."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from sqlalchemy import text

from app.core.database import Database
from app.core.jobs.kinds import JobContext
from app.core.jobs.payload import JobPayload
from app.core.jobs.queue import JobQueue
from app.core.jobs.worker import Outcome, Worker
from app.services.job_service import JobService

Start = Callable[..., Awaitable[Worker]]


class Task(JobPayload):
    job: ClassVar = "task"

    name: str = "task"

    @classmethod
    def named(cls, name: str) -> "Task":
        return cls(name=name)


class Runs:
    """Records the runs of jobs, of which the first `failures` fail."""

    def __init__(self) -> None:
        self.failures = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.contexts: list[JobContext] = []
        self.names: list[str] = []
        self.at_once = self.most_at_once = 0
        self.outcomes: list[tuple[str, Outcome]] = []

    def observe(self, job: str, outcome: Outcome, _seconds: float) -> None:
        self.outcomes.append((job, outcome))

    async def run(self, payload: Task, context: JobContext) -> None:
        self.contexts.append(context)
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            await self.gate.wait()
        finally:
            self.at_once -= 1
        if len(self.contexts) <= self.failures:
            raise OSError("not now")
        self.names.append(payload.name)


async def enqueue(database: Database, *names: str, **options: Any) -> list[int]:
    async with database.transaction() as session:
        return await JobQueue(session).enqueue(*map(Task.named, names), **options)


async def states(database: Database) -> Counter[str]:
    async with database.read() as session:
        rows = await JobService(session).count()
    found: Counter[str] = Counter()
    for row in rows:
        found[row.state] += row.number
    return found


async def wait_until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.02)


async def wait_for_states(database: Database, **expected: int) -> None:
    async def found() -> bool:
        return await states(database) == expected

    await wait_until(found)


async def make_due(database: Database) -> None:
    async with database.transaction() as session:
        await session.execute(
            text(
                "INSERT INTO pgqueuer_schedules (expression, entrypoint, next_run) "
                "VALUES ('0 4 * * *', 'task', now() - interval '1 h')"
            )
        )
