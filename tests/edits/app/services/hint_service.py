from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from app.models.hint import Hint
from app.repositories.hint_repo import HintRepository
from app.schemas.hint import HintCreate


class HintService:
    """The rules of hints."""

    def __init__(self, session: AsyncSession) -> None:
        self._hints = HintRepository(session)

    async def create_hint(self, data: HintCreate) -> Hint:
        """Add a hint."""
        return await self._hints.create(Hint(**data.model_dump()))

    async def list_hints(self) -> Sequence[Hint]:
        """Return the newest hints, at most a hundred."""
        return await self._hints.list_newest()
