"""Kinds of jobs: the handler of a payload, and how it is run."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Generic, NamedTuple, TypeVar

from pgqueuer import Job, RetryRequested
from pydantic import ValidationError

from app.core.config import Settings
from app.core.database import Database
from app.core.jobs.payload import JobPayload

PayloadT = TypeVar("PayloadT", bound=JobPayload)

_logger: Final = logging.getLogger(__name__)

_FIRST_DELAY: Final = 1.0
_LONGEST_DELAY: Final = 15 * 60.0


class FinalError(Exception):
    """Raised by handlers: the job fails, and would fail again, so it is dead at once."""


class PayloadError(FinalError):
    """The payload of a job is not one of this version. The message omits its values."""


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

    async def handle(
        self,
        job: Job,
        database: Database,
        settings: Settings,
        deadline: asyncio.Timeout | None = None,
    ) -> None:
        """Run a job. Raises `RetryRequested`, or the error that makes it a dead one.

        `deadline` is a timeout of the kind that the caller may bring forward.
        """
        payload = self._read(job.payload)
        context = JobContext(database, settings, key_of(job), job.attempts + 1)
        try:
            async with deadline or asyncio.timeout(self.timeout):
                await self.run(payload, context)
        except FinalError:
            raise
        except Exception as error:
            if context.attempt >= self.attempts:
                raise
            delay = backoff(context.attempt)
            _logger.warning(
                "%s failed, and runs again in %.0f s: %s",
                context.key,
                delay.total_seconds(),
                type(error).__name__,
            )
            raise RetryRequested(delay, f"{type(error).__name__}: {error}") from error

    def _read(self, payload: bytes | None) -> PayloadT:
        try:
            return self.payload.model_validate_json(payload or b"{}")
        except ValidationError as error:
            reasons = (
                f"{'.'.join(map(str, one['loc'])) or 'payload'}: {one['msg']}"
                for one in error.errors(include_url=False, include_input=False)
            )
            raise PayloadError("; ".join(reasons)) from None


class Schedule(NamedTuple):
    """A job that is queued at the times of a cron expression (UTC), by one of the workers."""

    cron: str
    payload: JobPayload


def key_of(job: Job) -> str:
    """Return the key of a job. With the time it differs from keys of other databases, too."""
    return f"{job.entrypoint}/{job.id}/{job.created:%Y%m%d%H%M%S}"


def backoff(attempt: int) -> timedelta:
    """Return the time to wait after an attempt: it doubles, and differs from job to job.

    Without the difference, jobs that failed together would fail together again.
    """
    longest = min(_FIRST_DELAY * 2 ** (attempt - 1), _LONGEST_DELAY)
    return timedelta(seconds=longest * random.uniform(0.5, 1))  # noqa: S311 (no secret)
