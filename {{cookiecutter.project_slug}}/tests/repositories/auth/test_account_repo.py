import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.auth.account_repo import AccountRepository
from tests.factories import Factory


async def test_address_that_is_taken_in_another_case_creates_no_account(
    session: AsyncSession, make: Factory
) -> None:
    await make.user(email="ann@example.com")
    repo = AccountRepository(session)

    assert not await repo.create_if_absent({"email": "ANN@example.com", "display_name": "Ann"})
    assert await repo.create_if_absent({"email": "bob@example.com", "display_name": "Bob"})


async def test_conflict_that_is_none_of_the_address_is_an_error(
    session: AsyncSession, make: Factory
) -> None:
    await make.user(display_name="Ann")
    await session.execute(text("CREATE UNIQUE INDEX other ON users (display_name)"))

    with pytest.raises(IntegrityError, match="other"):
        await AccountRepository(session).create_if_absent(
            {"email": "new@example.com", "display_name": "Ann"}
        )
