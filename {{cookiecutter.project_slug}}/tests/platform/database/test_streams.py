"""The deadline also limits streams, which hold a connection while they are read."""

import asyncio
import gc
from collections.abc import AsyncGenerator

import pytest
from sqlalchemy import text

from app.core.config import Settings
from app.core.database import Database
from app.exceptions import UnavailableError

# Drivers warn of cursors that are open when the connection is closed.
pytestmark = pytest.mark.filterwarnings("ignore:.*was deleted while still open:ResourceWarning")


@pytest.fixture
async def hasty(settings: Settings) -> AsyncGenerator[Database]:
    database = Database(settings.model_copy(update={"database_deadline": 1}))
    yield database
    await database.dispose()
    gc.collect()  # so that the warning belongs to this test


async def count(database: Database, seconds_a_row: float, *, pause: float = 0) -> int:
    """Stream rows slowly, with a pause of the reader after each."""
    rows = 0
    slow = text("SELECT pg_sleep(:seconds) FROM generate_series(1, 20)")
    options = {"stream_results": True, "max_row_buffer": 1}
    async with database.transaction() as session:
        result = await session.stream(slow, {"seconds": seconds_a_row}, execution_options=options)
        async for _ in result:
            rows += 1
            await asyncio.sleep(pause)
    return rows


async def test_stream_within_the_deadline_ends(hasty: Database) -> None:
    assert await count(hasty, 0) == 20


async def test_stream_that_the_server_delays_is_broken_off(hasty: Database) -> None:
    with pytest.raises(UnavailableError, match="took too long"):
        await count(hasty, 0.2)

    assert await count(hasty, 0) == 20  # on a working connection


async def test_stream_that_its_reader_delays_is_broken_off(hasty: Database) -> None:
    with pytest.raises(UnavailableError, match="took too long"):
        await count(hasty, 0, pause=0.1)
