from collections.abc import Callable
from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Security
from fastapi.security import OAuth2PasswordBearer


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
def test_document_says_where_tokens_are(app_with: Callable[..., FastAPI], prefix: str) -> None:
    document = app_with(api_prefix=prefix).openapi()

    scheme = document["components"]["securitySchemes"]["OAuth2PasswordBearer"]
    assert scheme["flows"]["password"]["tokenUrl"] == f"{prefix}/auth/token"
    assert scheme["flows"]["password"]["refreshUrl"] == f"{prefix}/auth/refresh"


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
async def test_document_behind_a_proxy_says_where_tokens_are(
    app_with: Callable[..., FastAPI], prefix: str
) -> None:
    transport = httpx.ASGITransport(app_with(api_prefix=prefix), root_path="/svc")
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        document = (await client.get("/openapi.json")).json()

    flow = document["components"]["securitySchemes"]["OAuth2PasswordBearer"]["flows"]["password"]
    assert flow["tokenUrl"] == f"/svc{prefix}/auth/token"
    assert flow["refreshUrl"] == f"/svc{prefix}/auth/refresh"


def test_url_of_another_service_gets_no_prefix(app_with_routers: Callable[..., FastAPI]) -> None:
    router = APIRouter()
    elsewhere = "https://login.example.com/token"
    scheme = OAuth2PasswordBearer(tokenUrl=elsewhere, scheme_name="Other")

    @router.get("/other")
    async def other(_: Annotated[str, Security(scheme)]) -> None: ...

    schemes = app_with_routers(router, api_prefix="/api").openapi()["components"]["securitySchemes"]

    assert schemes["Other"]["flows"]["password"]["tokenUrl"] == elsewhere
