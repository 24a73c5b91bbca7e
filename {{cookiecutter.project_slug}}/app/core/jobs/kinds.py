"""Kinds of jobs: the handler of a payload, and how it is run."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Generic, NamedTuple, TypeVar

from pgqueuer import Job, RetryRequested
from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import ConfigurationError, Settings
from app.core.database import Database
from app.core.database.budget import one_connection_at_a_time
from app.core.jobs.payload import JobPayload, payloads_of

PayloadT = TypeVar("PayloadT", bound=JobPayload)

_logger: Final = logging.getLogger(__name__)

_FIRST_DELAY: Final = 1.0
_LONGEST_DELAY: Final = 15 * 60.0

# A younger payload may come from a newer version that is being rolled out.
_ROLL_OUT: Final = timedelta(minutes=15)


# The mark is part of the job, so it goes with it. Without headers PGQueuer stores the JSON value null.
_CLAIM: Final = text("""
UPDATE pgqueuer SET headers =
    CASE jsonb_typeof(headers) WHEN 'object' THEN headers ELSE '{}' END || '{"claimed": "true"}'
WHERE id = :id AND headers ->> 'claimed' IS NULL RETURNING true
""")


class FinalError(Exception):
    """Raised by handlers: the job fails, and would fail again, so it is dead at once."""


class PayloadError(FinalError):
    """The payload of a job does not fit this version. The message omits its values."""


class PostponedError(RetryRequested):
    """The job did not run to its end, by no fault of its own: this does not count as an attempt."""


@dataclass(frozen=True)
class JobContext:
    """What a handler works with.

    `key` is the same each time the job runs. A handler whose effect must not happen twice stores it
    with the effect, or passes it on as an idempotency key: a job runs again if its worker vanishes
    between the effect and its acknowledgement. For effects in the database there is `claim`.
    """

    database: Database
    settings: Settings
    key: str
    attempt: int
    job_id: int

    async def claim(self, session: AsyncSession) -> bool:
        """Return whether no earlier transaction has claimed this job and committed.

        Runs one statement, which locks the job until the session's transaction ends.
        """
        return bool(await session.scalar(_CLAIM, {"id": self.job_id}))


@dataclass(frozen=True)
class JobKind(Generic[PayloadT]):
    """A kind of job.

    A job that raises an exception, or takes longer than `timeout` seconds, runs again later. After
    `attempts` runs it is dead (a dead letter), until a person decides (`app jobs`). At most `at_once`
    jobs of the kind run at the same time on all workers together; 0 means any number.
    """

    payload: type[PayloadT]
    run: Callable[[PayloadT, JobContext], Awaitable[None]]
    attempts: int = 8
    timeout: float = 60
    at_once: int = 0

    async def handle(
        self, job: Job, database: Database, settings: Settings, deadline: asyncio.Timeout
    ) -> None:
        """Run a job. Raises `RetryRequested` if it is to run again, or the error that makes it dead.

        `deadline` is a timeout of the kind, which the caller may bring forward.
        """
        payload = self._read(job)
        context = JobContext(database, settings, key_of(job), job.attempts + 1, int(job.id))
        try:
            async with deadline:
                await self._run(payload, context)
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

    async def _run(self, payload: PayloadT, context: JobContext) -> None:
        """Run the handler. Its `SystemExit`, and cancellations of its own, are errors of the job."""
        try:
            with one_connection_at_a_time():
                await self.run(payload, context)
        except SystemExit as error:
            raise RuntimeError(f"the handler exited: {error.code}") from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task and task.cancelling():
                raise  # by the deadline, or because the process ends
            raise RuntimeError("the handler has awaited what was cancelled") from error

    def _read(self, job: Job) -> PayloadT:
        """Return the payload. Raises `PostponedError`, or `PayloadError` when the job is old.

        While a new version is rolled out, a worker of the old one may get a payload of the new one.
        """
        try:
            return self.payload.model_validate_json(job.payload or b"{}")
        except ValidationError as invalid:
            reasons = (
                f"{'.'.join(map(str, one['loc'])) or 'payload'}: {one['msg']}"
                for one in invalid.errors(include_url=False, include_input=False)
            )
            error = PayloadError("; ".join(reasons))
        age = datetime.now(UTC) - job.created
        if age >= _ROLL_OUT:
            raise error
        _logger.warning("%s is left to another version: %s", key_of(job), error)
        delay = min(max(age, timedelta(seconds=1)), timedelta(minutes=1))
        raise PostponedError(delay, str(error)) from error


class Schedule(NamedTuple):
    """A job that is queued at the times of a cron expression (UTC), by one of the workers."""

    cron: str
    payload: JobPayload


def require_all_listed(kinds: Iterable[JobKind[Any]]) -> None:
    """Raise `ConfigurationError` for a payload of the app that no kind has: its jobs would wait for ever."""
    listed = {kind.payload for kind in kinds}
    for payload in payloads_of("app"):
        if payload not in listed:
            raise ConfigurationError(
                f"{payload.__module__}.{payload.__qualname__}: no kind of job has this payload; "
                "list it in app/jobs/__init__.py"
            )


def key_of(job: Job) -> str:
    """Return the key of a job.

    The time keeps keys distinct if ids start again, as in another database.
    """
    return f"{job.entrypoint}/{job.id}/{job.created:%Y%m%d%H%M%S}"


def backoff(attempt: int) -> timedelta:
    """Return the time to wait after an attempt: it doubles, with jitter for each job.

    Without jitter, jobs that failed together would fail together again.
    """
    longest = min(_FIRST_DELAY * 2 ** min(attempt - 1, 20), _LONGEST_DELAY)
    return timedelta(seconds=longest * random.uniform(0.5, 1))  # noqa: S311 (no secret)
