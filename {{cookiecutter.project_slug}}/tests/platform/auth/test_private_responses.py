"""Responses about accounts are not stored by anyone in between."""

from collections.abc import Callable

import httpx
import pytest
from fastapi import FastAPI

from app.core.database import Database
from tests.auth.accounts import Opener
from tests.conftest import http_client


@pytest.mark.usefixtures("ann")
async def test_responses_about_a_caller_are_not_stored(
    client: httpx.AsyncClient, open_client: Opener
) -> None:
    anonymous = open_client()
    responses = [
        await client.get("/users/me"),
        await anonymous.post("/auth/token", data={"username": "x@example.com", "password": "x"}),
        await anonymous.post("/auth/token"),
        await anonymous.post("/auth/nowhere"),
    ]

    assert [response.headers.get("cache-control") for response in responses] == ["no-store"] * 4


async def test_prefix_is_known(app_with: Callable[..., FastAPI], database: Database) -> None:
    app = app_with(api_prefix="/api/v1")
    app.state.database = database
    async with http_client(app) as client:
        response = await client.post("/api/v1/auth/token")

    assert response.headers["cache-control"] == "no-store"


async def test_refusal_of_an_anonymous_caller_has_the_security_headers(
    open_client: Opener,
) -> None:
    response = await open_client().get("/users/me")

    assert response.status_code == 401
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["content-security-policy"].startswith("default-src 'none'")
