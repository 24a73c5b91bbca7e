from collections.abc import AsyncGenerator, Callable

import pytest

from app.core.config import Settings
from app.core.database.sessions import Database


@pytest.fixture
async def open_database(settings: Settings) -> AsyncGenerator[Callable[..., Database]]:
    """Make databases with other settings, which are disposed of at the end of the test."""
    databases = []

    def make(**changes: object) -> Database:
        databases.append(Database(settings.model_copy(update=changes)))
        return databases[-1]

    yield make
    for database in databases:
        await database.dispose()
