"""Demo data for development: users, and rows of other resources for them."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from app.cli import demo_posts
from app.core.database import Database
from app.exceptions import ConflictError
from app.schemas.user import UserQuery
from app.services.user_service import UserService

# Writes rows for users, given as names by their ids, and returns how many.
Writer = Callable[[AsyncSession, Mapping[int, str]], Awaitable[int]]

_NAMES: Final = ("Ada", "Barbara", "Edsger", "Frances", "Grace", "Ken", "Leslie", "Margaret")
_USERS: Final = [{"email": f"{name.lower()}@example.com", "display_name": name} for name in _NAMES]
WRITERS: Final[dict[str, Writer]] = {"posts": demo_posts.write}


async def seed(database: Database) -> dict[str, int] | None:
    """Write the demo data in one transaction. Return the number of rows by resource.

    Returns None if any of its users exists.
    """
    try:
        async with database.transaction() as session:
            ids = await UserService(session).create_users(_USERS)
            names = dict(zip(ids, _NAMES, strict=True))
            written = {name: await write(session, names) for name, write in WRITERS.items()}
    except ConflictError:
        if await _is_there(database):
            return None
        raise  # a conflict with something else
    return {"users": len(ids), **written}


async def _is_there(database: Database) -> bool:
    async with database.read() as session:
        users = UserService(session)
        pages = [await users.list_users(UserQuery(q=user["email"])) for user in _USERS]
    return any(page.items for page in pages)
