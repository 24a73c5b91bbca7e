"""The baked app and its worker, with a job whose effects can be counted."""

import asyncio
import os
from typing import Any, ClassVar

from app.core.http.edge import EdgeRoute
from app.core.jobs.kinds import JobContext, JobKind
from app.core.jobs.payload import JobPayload
from app.core.jobs.queue import JobQueue
from app.dependencies.database import SessionDep
from app.main import create_app
from app.worker import create_worker
from fastapi import APIRouter
from sqlalchemy import text


class Effect(JobPayload):
    job: ClassVar = "effect"

    value: str


async def take_effect(payload: Effect, context: JobContext) -> None:
    """Write a row each time, and another one only once."""
    values: dict[str, Any] = {
        "key": context.key,
        "value": payload.value,
        "pid": os.getpid(),
        "attempt": context.attempt,
    }
    async with context.database.transaction() as session:
        await session.execute(
            text("INSERT INTO done VALUES (:key, :value, :pid, :attempt)"), values
        )
        await session.execute(
            text("INSERT INTO done_once VALUES (:key, :value) ON CONFLICT DO NOTHING"), values
        )


class SlowEffect(Effect):
    job: ClassVar = "slow_effect"


async def take_slow_effect(payload: SlowEffect, context: JobContext) -> None:
    """Take the effect, and be long about it, so that the worker can be killed before the end."""
    await take_effect(payload, context)
    await asyncio.sleep(2)


router = APIRouter(route_class=EdgeRoute)


@router.post("/effects/{value}", status_code=201)
async def ask(value: str, session: SessionDep) -> None:
    await session.execute(text("INSERT INTO asked VALUES (:value)"), {"value": value})
    await JobQueue(session).enqueue(Effect(value=value))


@router.post("/slow-effects/{value}", status_code=201)
async def ask_slowly(value: str, session: SessionDep) -> None:
    await JobQueue(session).enqueue(SlowEffect(value=value))


app = create_app()
app.include_router(router)

worker = create_worker(
    kinds=[
        JobKind(Effect, take_effect, attempts=100),
        JobKind(SlowEffect, take_slow_effect, attempts=100),
    ],
    schedules=[],
)
