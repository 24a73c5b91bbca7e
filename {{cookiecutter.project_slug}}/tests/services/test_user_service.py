import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.exceptions import ConflictError
from app.schemas.user import UserImport
from app.services.user_service import UserService
from tests.factories import Factory


def importing(*emails: str) -> UserImport:
    return UserImport.model_validate(
        {"users": [{"email": email, "display_name": "Name"} for email in emails]}
    )


async def test_import_names_the_address_that_is_taken(session: AsyncSession, make: Factory) -> None:
    taken = await make.user(email="ann@example.com")

    with pytest.raises(ConflictError, match=r"ann@example\.com is already registered"):
        await UserService(session).import_users(importing("bob@example.com", taken.email.upper()))


async def test_import_names_the_address_that_comes_twice(session: AsyncSession) -> None:
    with pytest.raises(ConflictError, match=r"bob@example\.com is already registered"):
        await UserService(session).import_users(importing("bob@example.com", "BOB@example.com"))
