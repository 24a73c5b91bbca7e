from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.exceptions import NotFoundError
from app.repositories.personal_data_repo import PersonalDataRepository


class PersonalDataService:
    """A person's rights to a copy and to the erasure of their data (GDPR, articles 15 and 17)."""

    def __init__(self, session: AsyncSession) -> None:
        self._personal_data = PersonalDataRepository(session)

    async def export(self, email: str) -> dict[str, list[dict[str, Any]]]:
        """Return all rows about a person, by table. Raises `NotFoundError` if there are none."""
        found = await self._personal_data.export(email)
        if not found:
            raise NotFoundError(f"Nothing is stored about {email}")
        return found

    async def erase(self, email: str) -> None:
        """Delete all rows about a person. Raises `NotFoundError` if there are none."""
        if not await self._personal_data.erase(email):
            raise NotFoundError(f"Nothing is stored about {email}")
