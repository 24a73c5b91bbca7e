from collections.abc import Sequence
from typing import Final

from sqlalchemy import select

from app.models.note import Note
from app.repositories.base import Repository

_NEWEST: Final = select(Note).order_by(Note.id.desc()).limit(100)


class NoteRepository(Repository[Note]):
    """SQL for notes. Every method runs one statement."""

    async def list_newest(self) -> Sequence[Note]:
        result = await self._session.scalars(_NEWEST)
        return result.all()
