from pydantic import ValidationError

from app.cli.dev_server import CommandError
from app.core.database.sessions import Database
from app.core.security.passwords import hash_password
from app.models.user import UserRow
from app.schemas.user import UserCreate
from app.services.auth.login_session_service import LoginSessionMaintenance
from app.services.registration_service import Admission
from app.services.user_service import UserService


async def create_admin(database: Database, email: str, display_name: str, password: str) -> UserRow:
    """Write an account with the role admin, whose address counts as verified.

    Raises `CommandError` for values that registration would refuse, `ConflictError` if the
    address is taken: whoever registered it first must not become an admin by surprise.
    """
    try:
        data = UserCreate.model_validate(
            {"email": email, "display_name": display_name, "password": password}
        )
    except ValidationError as error:
        problems = (f"{item['loc'][0]}: {item['msg']}" for item in error.errors())
        raise CommandError("; ".join(problems)) from None
    hashed_password = await hash_password(data.password, database.settings)
    async with database.transaction() as session:
        admission = Admission(hashed_password, is_email_verified=True)
        return await UserService(session).create_user(data, admission, role="admin")


async def prune_accounts(database: Database) -> dict[str, int]:
    """Delete sessions that are over and tokens that were not used; return how many of each."""
    async with database.transaction() as session:
        return await LoginSessionMaintenance(session, database.settings).prune()
