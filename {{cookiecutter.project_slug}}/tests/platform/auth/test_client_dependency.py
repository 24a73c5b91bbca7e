import httpx
import pytest
from fastapi import FastAPI

from app.core.config import Settings
from app.core.http.client_info import ClientInfo
from app.dependencies.auth.client import ClientDep
from app.main import create_app


@pytest.fixture(scope="module")
def app(settings: Settings) -> FastAPI:
    app = create_app(settings)

    @app.get("/caller")
    async def caller(client: ClientDep) -> ClientInfo:
        return client

    return app


async def test_client_is_the_peer_whatever_the_headers_claim(app: FastAPI) -> None:
    transport = httpx.ASGITransport(app, client=("2001:db8::7", 1234))
    headers = {
        "User-Agent": "browser",
        "X-Forwarded-For": "192.0.2.1",
        "X-Real-IP": "192.0.2.1",
        "Forwarded": "for=192.0.2.1",
    }
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        response = await client.get("/caller", headers=headers)

    assert response.json() == {"address": "2001:db8::7", "user_agent": "browser"}


async def test_client_of_a_unix_socket_has_no_address(app: FastAPI) -> None:
    transport = httpx.ASGITransport(app)
    transport.client = None  # type: ignore[assignment]
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        response = await client.get("/caller")

    assert response.json()["address"] == ""
