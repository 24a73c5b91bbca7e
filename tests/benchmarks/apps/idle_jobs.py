"""A worker of the baked service whose jobs do nothing, or wait for something else."""

import asyncio
from typing import ClassVar

from app.core.jobs.kinds import JobContext, JobKind
from app.core.jobs.payload import JobPayload
from app.worker import create_worker

WAIT = 0.02  # seconds


class Nothing(JobPayload):
    job: ClassVar = "nothing"


class Waiting(JobPayload):
    job: ClassVar = "waiting"


async def do_nothing(_payload: Nothing, _context: JobContext) -> None:
    pass


async def wait(_payload: Waiting, _context: JobContext) -> None:
    await asyncio.sleep(WAIT)


worker = create_worker(kinds=[JobKind(Nothing, do_nothing), JobKind(Waiting, wait)], schedules=[])
