"""A read session cannot write: PostgreSQL refuses it, and what nobody flushed is not forgotten."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final

import pytest
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.database.errors import ReadOnlySessionError
from app.core.database.sessions import Database
from app.dependencies.database import SessionDep
from app.exceptions import UnavailableError
from app.models.user import User
from tests.conftest import http_client
from tests.factories import Factory
from tests.platform.database.apps import count_users, edged, run

USER: Final = {"email": "a@example.com", "display_name": "A"}

# What PostgreSQL refuses in a read session.
WRITES: dict[str, Callable[[AsyncSession], Awaitable[object]]] = {
    "flush": lambda session: flush_user(session),
    "bulk insert": lambda session: session.execute(insert(User), [USER]),
    "insert": lambda session: session.execute(insert(User).values(USER)),
    "update": lambda session: session.execute(update(User).values(display_name="A")),
    "delete": lambda session: session.execute(delete(User)),
    "SQL": lambda session: session.execute(text("UPDATE users SET display_name = 'A'")),
    "CTE": lambda session: session.execute(
        text("WITH gone AS (DELETE FROM users RETURNING id) SELECT count(*) FROM gone")
    ),
    "function": lambda session: session.execute(text("SELECT write_user()")),
    "sequence": lambda session: session.execute(text("SELECT nextval('users_id_seq')")),
    "row lock": lambda session: session.execute(select(User).with_for_update()),
    "schema": lambda session: session.execute(text("CREATE TABLE later (id int)")),
    "connection": lambda session: write_by_connection(session),
}


async def flush_user(session: AsyncSession) -> None:
    user = User(**USER)
    session.add(user)
    try:
        await session.flush()
    finally:
        session.expunge_all()  # else the end of the session would object as well


async def write_by_connection(session: AsyncSession) -> None:
    connection = await session.connection()
    await connection.execute(insert(User).values(USER))


@pytest.fixture
async def writing_function(live_database: Database) -> AsyncGenerator[None]:
    await run(
        live_database,
        "CREATE FUNCTION write_user() RETURNS void LANGUAGE sql AS "
        "$$ INSERT INTO users (email, display_name) VALUES ('a@example.com', 'A') $$",
    )
    yield
    await run(live_database, "DROP FUNCTION write_user")


@pytest.mark.parametrize("pooler", [False, True], ids=["direct", "pooler"])
@pytest.mark.parametrize("name", WRITES)
@pytest.mark.usefixtures("writing_function")
async def test_postgresql_refuses_every_write_of_a_read_session(
    live_database: Database,
    open_database: Callable[..., Database],
    name: str,
    *,
    pooler: bool,
) -> None:
    database = open_database(database_pooler=True) if pooler else live_database

    async def write() -> None:
        async with database.read() as session:
            await WRITES[name](session)

    with pytest.raises(ReadOnlySessionError, match=r"change data in a POST.*transaction"):
        await write()

    assert await count_users(live_database) == 0


async def test_read_session_goes_on_after_a_refused_write(live_database: Database) -> None:
    async with live_database.read() as session:
        with pytest.raises(ReadOnlySessionError):
            await session.execute(delete(User))
        assert (await session.scalars(select(User.id))).all() == []


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("flushes", [False, True])
async def test_safe_method_cannot_write(
    settings: Settings, live_database: Database, method: str, *, flushes: bool
) -> None:
    app = edged(settings, live_database)

    @app.api_route("/write", methods=[method])
    async def write(session: SessionDep) -> None:
        session.add(User(**USER))
        if flushes:
            await session.flush()

    async with http_client(app) as client:
        with pytest.raises(ReadOnlySessionError):
            await client.request(method, "/write")

    assert await count_users(live_database) == 0


async def test_write_on_a_standby_is_a_fault_of_the_database(
    open_database: Callable[..., Database],
) -> None:
    """Not of the code: the primary was replaced, and the same request may succeed later."""
    database = open_database()

    async def write() -> None:
        async with database.transaction() as session:
            await session.execute(text("SET TRANSACTION READ ONLY"))
            await session.execute(delete(User))

    with pytest.raises(UnavailableError, match="does not accept writes"):
        await write()


async def test_read_session_of_a_test_refuses_to_flush(database: Database, make: Factory) -> None:
    """The sessions of tests, on one connection for reads and writes, are like those of the app."""
    user = await make.user()
    async with database.read() as session:
        row = await session.get_one(User, user.id)
        row.display_name = "Changed"
        with pytest.raises(ReadOnlySessionError, match="Safe HTTP methods get read sessions"):
            await session.flush()
        session.expunge_all()


@pytest.mark.parametrize("change", ["a row", "a new row", "a deleted row"])
async def test_read_session_refuses_to_forget_a_change(
    live_database: Database, make_live: Factory, change: str
) -> None:
    user = await make_live.user()

    async def change_without_flush() -> None:
        async with live_database.read() as session:
            row = await session.get_one(User, user.id)
            if change == "a row":
                row.display_name = "Changed"
            elif change == "a new row":
                session.add(User(**USER))
            else:
                await session.delete(row)

    with pytest.raises(ReadOnlySessionError):
        await change_without_flush()


@pytest.mark.parametrize("open_session", ["read", "transaction", "statement"])
async def test_session_cannot_be_used_after_its_end(
    live_database: Database, open_session: str
) -> None:
    async with getattr(live_database, open_session)() as session:
        await session.scalar(text("SELECT 1"))

    with pytest.raises(InvalidRequestError, match="permanently closed"):
        await session.scalar(text("SELECT 1"))


async def test_read_costs_no_transaction(live_database: Database) -> None:
    async with live_database.read() as session:
        first = await session.scalar(text("SELECT txid_current()"))
        second = await session.scalar(text("SELECT txid_current()"))

    assert first != second
