"""Demo users and posts for development."""

from typing import Final

from app.core.database import Database
from app.exceptions import ConflictError
from app.schemas.post import PostFields
from app.schemas.user import UserImport, UserImportItem, UserImportResponse, UserQuery
from app.services.user_service import UserService

_NAMES: Final = ("Ada", "Barbara", "Edsger", "Frances", "Grace", "Ken", "Leslie", "Margaret")
_TOPICS: Final = ("indexes", "transactions", "migrations", "pagination", "back pressure")
_SENTENCE: Final = "What {name} learned about {topic} is best told slowly, and with examples. "


def demo_users() -> UserImport:
    """Return eight users with five posts each, always the same."""
    return UserImport(
        users=[
            UserImportItem(
                email=f"{name.lower()}@example.com",
                display_name=name,
                posts=[
                    PostFields(
                        title=f"{name} on {topic}",
                        body=_SENTENCE.format(name=name, topic=topic) * (number * 20),
                    )
                    for number, topic in enumerate(_TOPICS, start=1)
                ],
            )
            for name in _NAMES
        ]
    )


async def seed(database: Database) -> UserImportResponse | None:
    """Write the demo data in one transaction. Returns None if any of its users exists."""
    try:
        async with database.transaction() as session:
            return await UserService(session).import_users(demo_users())
    except ConflictError:
        if await _is_there(database):
            return None
        raise  # a conflict with something else


async def _is_there(database: Database) -> bool:
    async with database.read() as session:
        users = UserService(session)
        pages = [await users.list_users(UserQuery(q=user.email)) for user in demo_users().users]
    return any(page.items for page in pages)
