import logging
from collections.abc import Callable

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.core.database import Database
from app.core.security.audit import audit, audit_on_commit
from app.exceptions import ConflictError
from tests.conftest import http_client
from tests.platform.observability.scrapes import Scrape, scrape


@pytest.fixture
def app(app_with_routers: Callable[..., FastAPI]) -> FastAPI:
    return app_with_routers(metrics="on")


async def sign_in_events(client: httpx.AsyncClient) -> dict[str, float]:
    found: Scrape = await scrape(client)
    events = ("sign_in", "sign_in_failed", "too_many_attempts")
    return {event: found.sum("audit_events_total", event=event) for event in events}


async def test_sign_ins_are_counted_by_result(app: FastAPI, live_database: Database) -> None:
    async with app.router.lifespan_context(app), http_client(app) as client:
        form = {"grant_type": "password", "username": "ann@example.com", "password": "wrong"}
        response = await client.post("/auth/token", data=form)
        audit("sign_in", user_id=7)
        events = await sign_in_events(client)

    assert response.status_code == 401
    assert events == {"sign_in": 1, "sign_in_failed": 1, "too_many_attempts": 0}


async def sign_in_and_fail(database: Database) -> None:
    async with database.transaction() as session:
        await session.execute(text("SELECT 1"))
        audit_on_commit(session, "sign_in")
        raise ConflictError("half-way")


async def test_event_of_a_transaction_that_rolls_back_is_not_counted(app: FastAPI) -> None:
    async with app.router.lifespan_context(app), http_client(app) as client:
        with pytest.raises(ConflictError):
            await sign_in_and_fail(app.state.database)

        assert (await sign_in_events(client))["sign_in"] == 0


async def test_events_are_counted_while_the_application_runs(app: FastAPI) -> None:
    async with http_client(app) as client:
        async with app.router.lifespan_context(app):
            pass
        audit("sign_in", user_id=7)

        assert (await sign_in_events(client))["sign_in"] == 0


async def test_other_lines_of_the_audit_log_are_no_events(app: FastAPI) -> None:
    async with app.router.lifespan_context(app), http_client(app) as client:
        logging.getLogger("app.audit").info("The key was rotated")

        assert (await sign_in_events(client))["sign_in"] == 0
