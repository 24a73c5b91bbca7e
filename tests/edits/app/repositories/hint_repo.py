from collections.abc import Sequence
from typing import Final

from sqlalchemy import select

from app.models.hint import Hint
from app.repositories.base import Repository

_NEWEST: Final = select(Hint).order_by(Hint.id.desc()).limit(100)


class HintRepository(Repository[Hint]):
    """SQL for hints. Every method runs one statement."""

    async def list_newest(self) -> Sequence[Hint]:
        result = await self._session.scalars(_NEWEST)
        return result.all()
