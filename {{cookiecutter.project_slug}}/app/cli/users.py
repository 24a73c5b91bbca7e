from pydantic import ValidationError

from app.cli.dev_server import CommandError
from app.core.config import load_settings
from app.core.database import Database
from app.core.security.passwords import hash_password
from app.core.security.policy import require_acceptable
from app.core.security.settings import PasswordPolicySettings
from app.models.user import User
from app.schemas.user import UserCreate
from app.services.auth.login_session_service import LoginSessionMaintenance
from app.services.user_service import UserService


async def create_admin(database: Database, email: str, display_name: str, password: str) -> User:
    """Write an account with the role admin, whose address is verified.

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
    require_acceptable(data.password, load_settings(PasswordPolicySettings), field="password")
    values = {
        "email": data.email,
        "display_name": data.display_name,
        "hashed_password": await hash_password(data.password, database.settings),
        "is_email_verified": True,
        "role": "admin",
    }
    async with database.transaction() as session:
        return await UserService(session).create_user(values)


async def prune_accounts(database: Database) -> dict[str, int]:
    """Delete sessions that are over and tokens that were not used; return how many of each."""
    async with database.transaction() as session:
        return await LoginSessionMaintenance(session, database.settings).prune()
