"""Health checks for load balancers and orchestrators."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from app.core.database.readiness import SchemaState
from app.core.http.openapi import Tag
from app.core.http.problem_declarations import problem_responses
from app.dependencies.readiness import get_readiness

router = APIRouter(
    prefix="/health",
    tags=[Tag("Health", "Checks of load balancers and orchestrators.")],
    responses=problem_responses(414),
)


class Live(BaseModel):
    status: Literal["ok"] = "ok"


class Ready(Live):
    db_schema: SchemaState = Field(
        description="`ahead`: a newer version has migrated the database."
    )


@router.get("/live")
async def live() -> Live:
    """Report that the process responds. Never checks the database, which a restart cannot fix."""
    return Live()


@router.get("/ready", responses=problem_responses(503))
async def ready(schema: Annotated[SchemaState, Depends(get_readiness)]) -> Ready:
    """Report that requests can be served: the database responds and has the schema."""
    return Ready(db_schema=schema)
