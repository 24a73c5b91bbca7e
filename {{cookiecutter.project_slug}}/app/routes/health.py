"""What a load balancer or orchestrator asks."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from app.core.database.readiness import Schema
from app.core.http.problems import problem_responses
from app.dependencies.readiness import get_readiness

router = APIRouter(prefix="/health", tags=["Health"])


class Live(BaseModel):
    status: Literal["ok"] = "ok"


class Ready(Live):
    db_schema: Schema = Field(description="`ahead`: of this version; a newer one has migrated.")


@router.get("/live")
async def live() -> Live:
    """Say that the process answers. It never asks the database: restarting would not mend that."""
    return Live()


@router.get("/ready", responses=problem_responses(503))
async def ready(schema: Annotated[Schema, Depends(get_readiness)]) -> Ready:
    """Say that requests can be served: the database answers and has the schema."""
    return Ready(db_schema=schema)
