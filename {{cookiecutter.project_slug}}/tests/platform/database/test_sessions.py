"""The promises of the sessions: a 2xx means committed, a read cannot write, nothing connects early."""

import asyncio
import gc
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress

import httpx
import pytest
from fastapi import BackgroundTasks, FastAPI
from sqlalchemy import insert, text
from sqlalchemy.exc import SQLAlchemyError

from app.core.config import Settings
from app.core.database.errors import FailedTransactionError
from app.core.database.sessions import Database
from app.dependencies.database import SessionDep
from app.exceptions import ConflictError, NotFoundError, UnavailableError
from app.models.user import User
from tests.conftest import http_client
from tests.factories import Factory
from tests.platform.database.apps import count_users, edged, run
from tests.platform.database.conftest import without_tls
from tests.platform.probe import Probe, make_probe, router


@pytest.fixture
async def commits_are_refused(live_database: Database) -> AsyncGenerator[None]:
    """Make every transaction that writes a user fail at its commit."""
    await run(
        live_database,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'refused at commit'; END $$",
        "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT OR UPDATE ON users "
        "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    yield
    await run(live_database, "DROP FUNCTION refuse CASCADE")


@pytest.fixture
async def foreign_keys_are_deferred(
    live_database: Database, probe_table: None
) -> AsyncGenerator[None]:
    """Check the foreign key of probes at commit."""
    alter = "ALTER TABLE probes ALTER CONSTRAINT fk_probes_owner_id_users"
    await run(live_database, f"{alter} DEFERRABLE INITIALLY DEFERRED")
    yield
    await run(live_database, f"{alter} NOT DEFERRABLE")


@pytest.mark.usefixtures("commits_are_refused")
async def test_commit_that_fails_is_no_success(settings: Settings, live_database: Database) -> None:
    app = edged(settings, live_database)
    done_afterwards: list[str] = []

    @app.post("/write")
    async def write(session: SessionDep, background: BackgroundTasks) -> None:
        session.add(User(email="ann@example.com", display_name="Ann"))
        background.add_task(done_afterwards.append, "this")

    async with http_client(app, raises=False) as client:
        response = await client.post("/write")

    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert "refused" not in response.text
    assert await count_users(live_database) == 0
    assert done_afterwards == []


@pytest.mark.usefixtures("foreign_keys_are_deferred")
async def test_constraint_that_fails_at_commit_is_a_domain_error(
    live_probes: httpx.AsyncClient,
) -> None:
    response = await live_probes.post("/probes", json={"owner_id": 4711, "name": "Name"})

    assert response.status_code == 404
    assert response.json()["detail"] == "Owner 4711 not found"


async def test_error_after_a_write_rolls_it_back(
    settings: Settings, live_database: Database
) -> None:
    app = edged(settings, live_database)

    @app.post("/half")
    async def half(session: SessionDep) -> None:
        session.add(User(email="ann@example.com", display_name="Ann"))
        await session.flush()
        raise ConflictError("half-way")

    async with http_client(app) as client:
        response = await client.post("/half")

    assert response.status_code == 409
    assert await count_users(live_database) == 0


@pytest.mark.usefixtures("probe_table")
async def test_transaction_that_failed_is_no_success_though_the_error_was_caught(
    settings: Settings, live_database: Database
) -> None:
    app = edged(settings, live_database)

    @app.post("/swallow")
    async def swallow(session: SessionDep) -> None:
        session.add(Probe(owner_id=4711, name="Name"))
        with suppress(NotFoundError):
            await session.flush()

    async with http_client(app, raises=False) as client:
        response = await client.post("/swallow")

    assert response.status_code == 500


async def test_commit_after_a_failed_statement_is_an_error(live_database: Database) -> None:
    async def write_and_catch() -> None:
        async with live_database.transaction() as session:
            await session.execute(insert(User), {"email": "a@example.com", "display_name": "A"})
            with suppress(ConflictError):
                await session.execute(insert(User), {"email": "A@example.com", "display_name": "A"})

    with pytest.raises(FailedTransactionError, match="begin_nested"):
        await write_and_catch()

    assert await count_users(live_database) == 0


@pytest.mark.parametrize("how", ["block", "commit"])
async def test_transaction_begun_by_hand_does_not_commit_after_a_failed_statement(
    live_database: Database, how: str
) -> None:
    async def write_and_catch() -> None:
        async with live_database.write_sessions() as session:
            transaction = await session.begin()
            await session.execute(insert(User), {"email": "a@example.com", "display_name": "A"})
            with suppress(ConflictError):
                await session.execute(insert(User), {"email": "A@example.com", "display_name": "A"})
            if how == "commit":
                await transaction.commit()
            else:
                await transaction.__aexit__(None, None, None)

    with pytest.raises(FailedTransactionError, match="begin_nested"):
        await write_and_catch()

    assert await count_users(live_database) == 0


async def test_transaction_begun_by_hand_commits_at_its_end(live_database: Database) -> None:
    async with live_database.write_sessions() as session:
        async with session.begin():
            await session.execute(insert(User), {"email": "a@example.com", "display_name": "A"})
        assert await count_users(live_database) == 1


async def test_commit_halfway_after_a_failed_statement_is_an_error(live_database: Database) -> None:
    async with live_database.transaction() as session:
        with suppress(ConflictError):
            await session.execute(
                insert(User), [{"email": "a@example.com", "display_name": "A"}] * 2
            )
        with pytest.raises(FailedTransactionError):
            await session.commit()
        await session.rollback()
        await session.execute(insert(User), {"email": "b@example.com", "display_name": "B"})

    assert await count_users(live_database) == 1


@pytest.mark.usefixtures("probe_table")
async def test_failure_is_that_of_the_transaction_in_which_it_happened(
    live_database: Database,
) -> None:
    async with live_database.transaction() as failing, live_database.transaction() as good:
        with suppress(NotFoundError):
            await failing.execute(insert(Probe), {"owner_id": 4711, "name": "Name"})
        await good.execute(insert(User), {"email": "a@example.com", "display_name": "A"})
        await good.commit()
        with pytest.raises(FailedTransactionError):
            await failing.commit()
        await failing.rollback()

    assert await count_users(live_database) == 1


async def test_connect_that_is_cancelled_leaves_no_session_at_the_server(
    settings: Settings, live_database: Database
) -> None:
    others = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'cancelled'"
    )

    async def connect(number: int) -> None:
        url = without_tls(settings.database_url)
        url = url.update_query_dict({"application_name": "cancelled"})
        database = Database(settings.model_copy(update={"database_url": url}))
        task = asyncio.create_task(count_users(database))
        await asyncio.sleep(number * 0.001)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await database.dispose()

    gc.disable()
    try:
        for number in range(40):
            await connect(number)
        async with live_database.read() as session, asyncio.timeout(5):
            while await session.scalar(others):
                await asyncio.sleep(0.05)
    finally:
        gc.enable()


async def test_connect_that_times_out_leaves_no_connection_at_the_server(
    open_database: Callable[..., Database], settings: Settings
) -> None:
    ended = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the client has closed its end
        ended.set()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    url = without_tls(settings.database_url).set(
        host="127.0.0.1", port=server.sockets[0].getsockname()[1]
    )
    database = open_database(database_url=url, database_connect_timeout=0.5)

    gc.disable()
    try:
        async with server:
            with pytest.raises(UnavailableError, match="cannot be reached"):
                await count_users(database)
            async with asyncio.timeout(5):
                await ended.wait()
    finally:
        gc.enable()


async def test_statement_may_fail_in_a_savepoint(live_database: Database) -> None:
    async with live_database.transaction() as session:
        await session.execute(insert(User), {"email": "a@example.com", "display_name": "A"})
        with suppress(ConflictError):
            async with session.begin_nested():
                await session.execute(insert(User), {"email": "A@example.com", "display_name": "A"})

    assert await count_users(live_database) == 1


async def test_row_is_committed_before_the_response_starts(
    settings: Settings, live_database: Database
) -> None:
    app = edged(settings, live_database)
    seen: list[int] = []

    async def watched(scope, receive, send):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
        async def look_first(message):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
            if message["type"] == "http.response.start":
                seen.append(await count_users(live_database))
            await send(message)

        await app(scope, receive, look_first)

    @app.post("/write")
    async def write(session: SessionDep) -> None:
        session.add(User(email="ann@example.com", display_name="Ann"))

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(watched), base_url="http://test"
    ) as client:
        await client.post("/write")

    assert seen == [1]


@pytest.mark.usefixtures("probe_table")
async def test_hidden_lazy_load_is_an_error(live_database: Database, make_live: Factory) -> None:
    probe = await make_probe(make_live)
    async with live_database.read() as session:
        row = await session.get_one(Probe, probe.id)
        session.expire(row, ["owner"])
        with pytest.raises(SQLAlchemyError, match="greenlet_spawn has not been called"):
            _ = row.owner


@pytest.mark.usefixtures("probe_table")
async def test_constraint_violation_in_a_session_is_a_domain_error(database: Database) -> None:
    async def write() -> None:
        async with database.transaction() as session:
            session.add(Probe(owner_id=4711, name="Name"))
            await session.flush()

    with pytest.raises(NotFoundError, match="Owner 4711 not found"):
        await write()


async def test_url_as_providers_write_it_connects(settings: Settings) -> None:
    url = settings.database_url.update_query_dict(
        {
            "sslmode": "prefer",
            "channel_binding": "prefer",
            "gssencmode": "disable",
            "application_name": "test of urls",
        }
    )
    database = Database(settings.model_copy(update={"database_url": url}))

    async with database.read() as session:
        assert await session.scalar(text("SHOW application_name")) == "test of urls"
    await database.dispose()


async def test_dead_connections_are_replaced_without_an_error(
    settings: Settings, live_client: httpx.AsyncClient
) -> None:
    await live_client.get("/users")
    killer = Database(settings)
    async with killer.writer.connect() as connection:
        await connection.execute(
            text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid() "
                "AND backend_type = 'client backend'"
            )
        )
    await killer.dispose()
    await asyncio.sleep(0.05)  # until the end of the stream arrives

    assert (await live_client.get("/users")).status_code == 200


async def test_message_of_an_error_shows_no_parameters(live_database: Database) -> None:
    async with live_database.read() as session:
        with pytest.raises(SQLAlchemyError) as error:
            await session.execute(text("SELECT CAST(:secret AS text), 1/0"), {"secret": "hunter2"})

    assert "hunter2" not in str(error.value)


async def test_server_ends_what_takes_too_long(settings: Settings) -> None:
    hasty = Database(settings.model_copy(update={"database_statement_timeout": 0.1}))

    async with hasty.read() as session:
        limits = {
            name: (await session.execute(text(f"SHOW {name}"))).scalar_one()
            for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        }
    await hasty.dispose()

    assert limits == {
        "statement_timeout": "100ms",
        "lock_timeout": "2s",
        "idle_in_transaction_session_timeout": "30s",
    }


@pytest.mark.usefixtures("probe_table")
async def test_lifespan_connects_late_and_leaves_no_connection(
    app_with_routers: Callable[..., FastAPI], live_database: Database
) -> None:
    app = app_with_routers(router)
    others = text(
        "SELECT pid FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND backend_type = 'client backend'"  # an autovacuum worker comes and goes as it likes
    )
    async with live_database.read() as observer:

        async def connections() -> set[int]:
            return set((await observer.scalars(others)).all())

        before = await connections()
        async with app.router.lifespan_context(app), http_client(app) as client:
            (of_readiness,) = await connections() - before
            await client.get("/probes")
            (own,) = await connections() - before - {of_readiness}
        async with asyncio.timeout(3):
            while {own, of_readiness} & await connections():
                await asyncio.sleep(0.01)
