import httpx
from fastapi import FastAPI

from app.core.config import Settings
from app.core.database import Database
from app.main import create_app
from tests.conftest import http_client


def without_database(settings: Settings) -> FastAPI:
    """Return an app whose database cannot be reached."""
    app = create_app(settings)
    url = settings.database_url.set(host="127.0.0.1", port=9, query={})
    app.state.database = Database(settings.model_copy(update={"database_url": url}))
    return app


async def test_ready_while_the_database_answers(live_client: httpx.AsyncClient) -> None:
    response = await live_client.get("/health/ready")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})


async def test_not_ready_without_the_database(settings: Settings) -> None:
    async with http_client(without_database(settings)) as client:
        response = await client.get("/health/ready")

    assert response.status_code == 503
    assert response.json()["code"] == "SERVICE_UNAVAILABLE"


async def test_live_even_without_the_database(settings: Settings) -> None:
    async with http_client(without_database(settings)) as client:
        response = await client.get("/health/live")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})
