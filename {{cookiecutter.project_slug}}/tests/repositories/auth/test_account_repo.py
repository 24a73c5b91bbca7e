import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.auth.account_repo import AccountRepository


async def test_only_a_taken_address_lets_an_account_be_absent(session: AsyncSession) -> None:
    accounts = AccountRepository(session)
    await session.execute(text("CREATE UNIQUE INDEX uq_users_display_name ON users (display_name)"))

    assert await accounts.create_if_absent({"email": "ann@example.com", "display_name": "Ann"})
    assert not await accounts.create_if_absent({"email": "ANN@example.com", "display_name": "Eve"})
    with pytest.raises(IntegrityError, match="uq_users_display_name"):
        await accounts.create_if_absent({"email": "bob@example.com", "display_name": "Ann"})
