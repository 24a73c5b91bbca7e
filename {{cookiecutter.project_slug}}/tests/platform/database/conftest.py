from collections.abc import AsyncGenerator, Callable

import pytest
from sqlalchemy import URL

from app.core.config import Settings
from app.core.database.sessions import Database


def without_tls(url: URL) -> URL:
    """Return a URL of a connection whose start can be cancelled at any moment.

    A driver may leave a future with an error behind if it is cancelled while it negotiates TLS.
    """
    return url if "sslmode" in url.query else url.update_query_dict({"sslmode": "disable"})


@pytest.fixture
async def open_database(settings: Settings) -> AsyncGenerator[Callable[..., Database]]:
    """Make databases with other settings, which are disposed of at the end of the test."""
    databases = []
    plain = without_tls(settings.database_url)

    def make(**changes: object) -> Database:
        databases.append(Database(settings.model_copy(update={"database_url": plain} | changes)))
        return databases[-1]

    yield make
    for database in databases:
        await database.dispose()
