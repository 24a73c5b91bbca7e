from collections.abc import AsyncGenerator, Generator

import pytest
from sqlalchemy import URL

from app.core.config import Settings
from app.core.database import Database
from tests.postgres import clone


@pytest.fixture(scope="module")
def large_url(template_url: URL, worker_id: str) -> Generator[URL]:
    with clone(template_url, f"{template_url.database}_{worker_id}_large") as url:
        yield url


@pytest.fixture(scope="module")
async def large_database(large_url: URL, settings: Settings) -> AsyncGenerator[Database]:
    """A database for the large tables of a module, with one connection to search on."""
    changes = {
        "database_url": large_url,
        "database_search_pool_size": 1,
        "database_statement_timeout": 60,
    }
    database = Database(settings.model_copy(update=changes))
    yield database
    await database.dispose()
