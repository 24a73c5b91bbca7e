"""Rows to look at in development: users, and what other resources add for them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from app.cli import demo_posts
from app.core.database import Database
from app.exceptions import ConflictError
from app.schemas.user import UserQuery
from app.services.user_service import UserService

# Writes rows for users, given as names by their ids, and returns how many.
Writer = Callable[[AsyncSession, Mapping[int, str]], Awaitable[int]]

NAMES: Final = ("Ada", "Barbara", "Edsger", "Frances", "Grace", "Ken", "Leslie", "Margaret")
WRITERS: Final[dict[str, Writer]] = {
    "posts": demo_posts.write,
}


async def seed(database: Database) -> dict[str, int] | None:
    """Write the demo data in one transaction, and return how many rows there are of each kind.

    Returns None if it, or a part of it, is there.
    """
    users = [{"email": f"{name.lower()}@example.com", "display_name": name} for name in NAMES]
    try:
        async with database.transaction() as session:
            ids = await UserService(session).create_users(users)
            names = dict(zip(ids, NAMES, strict=True))
            written = {kind: await write(session, names) for kind, write in WRITERS.items()}
    except ConflictError:
        if not await _is_any_registered(database, [user["email"] for user in users]):
            raise  # a conflict with something else
        return None
    return {"users": len(ids), **written}


async def _is_any_registered(database: Database, emails: Sequence[str]) -> bool:
    async with database.read() as session:
        users = UserService(session)
        pages = [await users.list_users(UserQuery(q=email)) for email in emails]
    return any(page.items for page in pages)
