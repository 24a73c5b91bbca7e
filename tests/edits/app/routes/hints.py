from fastapi import APIRouter, status

from app.core.http.limits import BoundedRoute
from app.dependencies.services import HintServiceDep
from app.schemas.hint import HintCreate, HintResponse

router = APIRouter(prefix="/hints", tags=["Hints"], route_class=BoundedRoute)


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_hint(data: HintCreate, hints: HintServiceDep) -> HintResponse:
    """Add a hint."""
    return HintResponse.model_validate(await hints.create_hint(data))


@router.get("")
async def list_hints(hints: HintServiceDep) -> list[HintResponse]:
    """List the newest hints, at most a hundred."""
    return [HintResponse.model_validate(hint) for hint in await hints.list_hints()]
