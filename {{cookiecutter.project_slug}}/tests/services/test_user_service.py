from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.exceptions import ConflictError
from app.services.user_service import UserService
from tests.factories import Factory


def rows(*emails: str) -> list[dict[str, Any]]:
    return [{"email": email, "display_name": "Name"} for email in emails]


async def test_bulk_insert_names_the_address_that_is_taken(
    session: AsyncSession, make: Factory
) -> None:
    taken = await make.user(email="ann@example.com")

    with pytest.raises(ConflictError, match=r"ann@example\.com is already registered"):
        await UserService(session).create_users(rows("bob@example.com", taken.email.upper()))


async def test_bulk_insert_names_the_address_that_comes_twice(session: AsyncSession) -> None:
    with pytest.raises(ConflictError, match=r"bob@example\.com is already registered"):
        await UserService(session).create_users(rows("bob@example.com", "BOB@example.com"))
