"""Kinds of jobs: the handler of a payload, and how it is run."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Generic, TypeVar

from pgqueuer.errors import RetryRequested
from pgqueuer.models import Job

from app.core.config import Settings
from app.core.database import Database
from app.core.jobs.payload import JobPayload

PayloadT = TypeVar("PayloadT", bound=JobPayload)

_FIRST_DELAY: Final = 1.0
_LONGEST_DELAY: Final = 15 * 60.0


@dataclass(frozen=True)
class JobContext:
    """What a handler works with.

    `key` is the same each time the job runs. A handler whose effect must not happen twice stores it
    with the effect, or passes it on as an idempotency key: a job runs again if its worker vanishes
    between the effect and its acknowledgement.
    """

    database: Database
    settings: Settings
    key: str
    attempt: int


@dataclass(frozen=True)
class JobKind(Generic[PayloadT]):
    """A kind of job.

    A job that raises an exception, or takes longer than `timeout` seconds, runs again later, until
    it has been run `attempts` times; then it is dead, until a person decides (`app jobs`). At most
    `at_once` jobs of the kind run at the same time on all workers together; 0 means any number.
    """

    payload: type[PayloadT]
    run: Callable[[PayloadT, JobContext], Awaitable[None]]
    attempts: int = 8
    timeout: float = 60
    at_once: int = 0

    async def handle(self, job: Job, database: Database, settings: Settings) -> None:
        """Run a job. Raises `RetryRequested`, or the error that makes it a dead one.

        A payload that this version cannot read is not tried again.
        """
        payload = self.payload.model_validate_json(job.payload or b"{}")
        context = JobContext(database, settings, f"{self.payload.job}/{job.id}", job.attempts + 1)
        try:
            async with asyncio.timeout(self.timeout):
                await self.run(payload, context)
        except Exception as error:
            if context.attempt >= self.attempts:
                raise
            raise RetryRequested(backoff(context.attempt), _describe(error)) from error


@dataclass(frozen=True)
class Schedule:
    """A function that runs at the times of a cron expression (UTC), on one of the workers."""

    name: str
    cron: str
    run: Callable[[Database], Awaitable[Any]]


def backoff(attempt: int) -> timedelta:
    """Return the time to wait after an attempt: it doubles, and differs from job to job.

    Without the difference, jobs that failed together would fail together again.
    """
    longest = min(_FIRST_DELAY * 2 ** (attempt - 1), _LONGEST_DELAY)
    return timedelta(seconds=longest * random.uniform(0.5, 1))  # noqa: S311 (no secret)


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
