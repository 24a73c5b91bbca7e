from fastapi import APIRouter, status

from app.core.limits import BoundedRoute
from app.dependencies.services import NoteServiceDep
from app.schemas.note import NoteCreate, NoteResponse

router = APIRouter(prefix="/notes", tags=["Notes"], route_class=BoundedRoute)


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_note(data: NoteCreate, notes: NoteServiceDep) -> NoteResponse:
    """Remember a note."""
    return NoteResponse.model_validate(await notes.create_note(data))


@router.get("")
async def list_notes(notes: NoteServiceDep) -> list[NoteResponse]:
    """List the newest notes, at most a hundred."""
    return [NoteResponse.model_validate(note) for note in await notes.list_notes()]
