from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from app.models.note import Note
from app.repositories.note_repo import NoteRepository
from app.schemas.note import NoteCreate


class NoteService:
    """The rules of notes."""

    def __init__(self, session: AsyncSession) -> None:
        self._notes = NoteRepository(session)

    async def create_note(self, data: NoteCreate) -> Note:
        """Remember a note."""
        return await self._notes.create(Note(**data.model_dump()))

    async def list_notes(self) -> Sequence[Note]:
        """Return the newest notes, at most a hundred."""
        return await self._notes.list_newest()
