from pydantic import ValidationError

from app.cli.dev_server import CommandError
from app.core.database import Database
from app.models.user import User
from app.schemas.user import UserCreate
from app.services.user_service import UserService


async def create_admin(database: Database, email: str, display_name: str, password: str) -> User:
    """Write an account with the role admin.

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
    async with database.transaction() as session:
        return await UserService(session).create_admin(data)
