import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.auth.account_repo import AccountRepository
from tests.auth.accounts import make_login_session
from tests.factories import Factory


@pytest.fixture
async def names_are_unique(session: AsyncSession) -> None:
    """Make a second rule by which users can conflict."""
    await session.execute(text("CREATE UNIQUE INDEX uq_users_display_name ON users (display_name)"))
    await session.commit()


def account(email: str, display_name: str = "Ann") -> dict[str, object]:
    return {"email": email, "display_name": display_name}


@pytest.mark.parametrize("email", ["ann@example.com", "ANN@EXAMPLE.COM"])
async def test_user_is_found_by_email_whatever_its_case(
    session: AsyncSession, make: Factory, email: str
) -> None:
    user = await make.user(email="Ann@example.com")
    await make.user(email="bob@example.com")

    assert await AccountRepository(session).find_by_email(email, "192.0.2.1") == (user, False)


@pytest.mark.parametrize(("address", "is_known"), [("192.0.2.1", True), ("", False)])
async def test_nobody_is_signed_in_at_an_address_that_is_not_known(
    session: AsyncSession, make: Factory, address: str, is_known: bool
) -> None:
    user = await make.user(email="ann@example.com")
    login_session = await make_login_session(make, user)
    login_session.address = address
    await make(login_session)

    found = await AccountRepository(session).find_by_email("ann@example.com", address)

    assert found == (user, is_known)


async def test_user_that_does_not_exist_is_not_found(session: AsyncSession, make: Factory) -> None:
    await make.user(email="ann@example.com")

    assert await AccountRepository(session).find_by_email("an@example.com", "") == (None, False)


@pytest.mark.parametrize("email", ["ann@example.com", "ANN@EXAMPLE.COM"])
async def test_known_address_creates_no_account_and_is_no_error(
    session: AsyncSession, email: str
) -> None:
    accounts = AccountRepository(session)

    assert await accounts.create_if_absent(account("ann@example.com"))
    assert not await accounts.create_if_absent(account(email, "Other"))


@pytest.mark.usefixtures("names_are_unique")
async def test_other_conflict_is_not_taken_for_a_known_address(session: AsyncSession) -> None:
    accounts = AccountRepository(session)

    assert await accounts.create_if_absent(account("ann@example.com"))
    with pytest.raises(IntegrityError, match="uq_users_display_name"):
        await accounts.create_if_absent(account("bob@example.com"))
    await session.rollback()
