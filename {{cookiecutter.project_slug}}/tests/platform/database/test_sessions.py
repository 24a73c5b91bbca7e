"""The promises of the sessions: a 2xx means committed, a read cannot write, nothing connects early."""

import asyncio
import gc
import logging
from collections.abc import AsyncGenerator
from contextlib import suppress

import httpx
import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import SQLAlchemyError

from app.core.config import Settings
from app.core.database.errors import FailedTransactionError
from app.core.database.sessions import Database
from app.dependencies.database import SessionDep
from app.exceptions import ConflictError, NotFoundError
from app.main import create_app
from app.models.post import Post
from app.models.user import User
from tests.conftest import http_client
from tests.factories import Factory
from tests.platform.database.apps import count_users, edged, run


@pytest.fixture
async def commits_are_refused(live_database: Database) -> AsyncGenerator[None]:
    """Let every transaction that writes a post fail when it commits, not before."""
    await run(
        live_database,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'refused at commit'; END $$",
        "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT OR UPDATE ON posts "
        "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    yield
    await run(live_database, "DROP FUNCTION refuse CASCADE")


@pytest.fixture
async def foreign_keys_are_deferred(live_database: Database) -> AsyncGenerator[None]:
    """Let the foreign key of posts be checked at commit."""
    alter = "ALTER TABLE posts ALTER CONSTRAINT fk_posts_author_id_users"
    await run(live_database, f"{alter} DEFERRABLE INITIALLY DEFERRED")
    yield
    await run(live_database, f"{alter} NOT DEFERRABLE")


@pytest.mark.usefixtures("commits_are_refused")
async def test_commit_that_fails_is_no_success(
    live_client: httpx.AsyncClient, make_live: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "app")
    author = await make_live.user()

    response = await live_client.post(
        "/posts", json={"author_id": author.id, "title": "Hello", "body": "World"}
    )

    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert "refused" not in response.text
    assert (await live_client.get("/posts")).json()["items"] == []
    assert not caplog.messages  # the background task did not run


@pytest.mark.usefixtures("foreign_keys_are_deferred")
async def test_constraint_that_fails_at_commit_is_a_domain_error(
    live_client: httpx.AsyncClient,
) -> None:
    response = await live_client.post(
        "/posts", json={"author_id": 4711, "title": "Hello", "body": "World"}
    )

    assert response.status_code == 404
    assert response.json()["detail"] == "Author 4711 not found"


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


async def test_transaction_that_failed_is_no_success_though_the_error_was_caught(
    settings: Settings, live_database: Database
) -> None:
    app = edged(settings, live_database)

    @app.post("/swallow")
    async def swallow(session: SessionDep) -> None:
        session.add(Post(author_id=4711, title="Hello", body="World"))
        with suppress(NotFoundError):
            await session.flush()

    async with http_client(app) as client:
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


async def test_failure_is_that_of_the_transaction_in_which_it_happened(
    live_database: Database,
) -> None:
    async with live_database.transaction() as failing, live_database.transaction() as good:
        with suppress(NotFoundError):
            post = {"author_id": 4711, "title": "Hello", "body": "World"}
            await failing.execute(insert(Post), post)
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
        url = settings.database_url.update_query_dict({"application_name": "cancelled"})
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


async def test_hidden_lazy_load_is_an_error(live_database: Database, make_live: Factory) -> None:
    post = await make_live.post()
    async with live_database.read() as session:
        row = await session.get_one(Post, post.id)
        session.expire(row, ["author"])
        with pytest.raises(SQLAlchemyError, match="greenlet_spawn has not been called"):
            _ = row.author


async def test_constraint_violation_in_a_session_is_a_domain_error(database: Database) -> None:
    async def write() -> None:
        async with database.transaction() as session:
            session.add(Post(author_id=4711, title="Hello", body="World"))
            await session.flush()

    with pytest.raises(NotFoundError, match="Author 4711 not found"):
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
    await live_client.get("/posts")
    killer = Database(settings)
    async with killer.writer.connect() as connection:
        await connection.execute(
            text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    await killer.dispose()
    await asyncio.sleep(0.05)  # the end of the stream is under way

    assert (await live_client.get("/posts")).status_code == 200


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


async def test_lifespan_connects_late_and_leaves_no_connection(
    settings: Settings, live_database: Database
) -> None:
    app = create_app(settings)
    others = text(
        "SELECT pid FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    async with live_database.read() as observer:

        async def connections() -> set[int]:
            return set((await observer.scalars(others)).all())

        before = await connections()
        async with app.router.lifespan_context(app), http_client(app) as client:
            assert await connections() <= before
            await client.get("/posts")
            (own,) = await connections() - before
        async with asyncio.timeout(3):
            while own in await connections():
                await asyncio.sleep(0.01)
