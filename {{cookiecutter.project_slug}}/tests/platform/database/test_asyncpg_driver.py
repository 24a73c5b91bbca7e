"""What the project asks of asyncpg, and of no other driver."""

from collections.abc import Callable

from app.core.config import Settings
from app.core.database.sessions import Database
from tests.platform.database.conftest import without_tls
from tests.platform.database.test_pooler import prepared_by


async def test_statements_that_a_pooler_keeps_have_unique_names(
    settings: Settings, open_database: Callable[..., Database]
) -> None:
    """Otherwise a pooler that keeps none after all might execute one for another."""
    url = without_tls(settings.database_url).set(drivername="postgresql+asyncpg")
    database = open_database(database_url=url, database_pooler=True, database_pooler_prepares=True)

    read, written = await prepared_by(database.read), await prepared_by(database.transaction)

    assert read
    assert not read & written
    assert not [name for name in read | written if "asyncpg" in name]  # those are numbered
