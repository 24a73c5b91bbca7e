"""Nobody waits for the database longer than the settings allow, nor longer than those before."""

import asyncio
import gc
import weakref

import pytest
from sqlalchemy import text

from app.core.config import Settings
from app.core.database.deadline import deadline
from app.core.database.sessions import Database
from app.exceptions import UnavailableError


async def sleep(database: Database, seconds: float) -> None:
    async with database.read() as session:
        await session.execute(text(f"SELECT pg_sleep({seconds})"))


async def test_statement_that_outlives_the_deadline_is_broken_off(settings: Settings) -> None:
    database = Database(settings.model_copy(update={"database_deadline": 1}))

    with pytest.raises(UnavailableError, match="was lost"):
        await sleep(database, 3)

    await sleep(database, 0)  # the next one has a good connection
    await database.dispose()


async def test_deadline_that_was_kept_leaves_no_garbage() -> None:
    limit = deadline(60)
    reference = weakref.ref(limit)
    gc.disable()
    try:
        async with limit:
            pass
        del limit

        assert reference() is None
    finally:
        gc.enable()


async def test_deadline_ends_the_wait_for_a_connection_too(settings: Settings) -> None:
    limits = {"database_deadline": 0.2, "database_pool_size": 1, "database_max_overflow": 0}
    database = Database(settings.model_copy(update=limits))

    async with database.writer.connect():
        with pytest.raises(UnavailableError, match="took too long"):
            await sleep(database, 0)

    await database.dispose()


async def test_those_who_wait_for_a_connection_are_served_in_their_order(
    settings: Settings,
) -> None:
    limits = {"database_pool_size": 1, "database_max_overflow": 0}
    database = Database(settings.model_copy(update=limits))
    order: list[int] = []

    async def read(number: int) -> None:
        await sleep(database, 0.001)
        order.append(number)

    await asyncio.gather(*(read(number) for number in range(20)))
    await database.dispose()

    assert order == list(range(20))


async def test_full_pool_makes_others_wait_but_not_for_long(settings: Settings) -> None:
    limits = {"database_pool_timeout": 0.2, "database_pool_size": 1, "database_max_overflow": 0}
    database = Database(settings.model_copy(update=limits))

    async with database.writer.connect():
        with pytest.raises(UnavailableError, match="Too many requests"):
            await sleep(database, 0)

    await sleep(database, 0)  # the turn that was given up is there again
    await database.dispose()


async def test_time_before_the_first_statement_holds_no_connection(settings: Settings) -> None:
    limits = {"database_pool_timeout": 0.2, "database_pool_size": 1, "database_max_overflow": 0}
    database = Database(settings.model_copy(update=limits))

    async with database.transaction():  # and no statement yet
        await sleep(database, 0)

    await database.dispose()


async def test_cancellation_is_no_fault_of_the_database(settings: Settings) -> None:
    database = Database(settings)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await sleep(database, 3)

    await sleep(database, 0)
    await database.dispose()
