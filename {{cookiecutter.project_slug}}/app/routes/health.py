"""What a load balancer or orchestrator asks."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from app.core.problems import problem_responses
from app.dependencies.database import DatabaseDep

router = APIRouter(prefix="/health", tags=["Health"])


class Health(BaseModel):
    status: Literal["ok"] = "ok"


@router.get("/live")
async def live() -> Health:
    """Say that the process answers. It never asks the database: restarting would not mend that."""
    return Health()


@router.get("/ready", responses=problem_responses(503))
async def ready(database: DatabaseDep) -> Health:
    """Say that requests can be served: the database answers."""
    await database.check()
    return Health()
