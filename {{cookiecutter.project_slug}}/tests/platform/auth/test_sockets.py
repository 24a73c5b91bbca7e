"""Callers of WebSocket routes sign in by the header of the handshake."""

from collections.abc import Callable

import pytest
from fastapi import FastAPI

from app.core.database import Database
from tests.platform.http.test_sockets import Socket, router


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer x"}])
async def test_handshake_of_an_unknown_caller_is_refused_with_401(
    app_with_routers: Callable[..., FastAPI], database: Database, headers: dict[str, str]
) -> None:
    app = app_with_routers(router, database=database)

    refusal = await Socket(app, "/about", headers).next()

    assert (refusal["type"], refusal["status"]) == ("websocket.http.response.start", 401)
    assert b"application/problem+json" in dict(refusal["headers"]).values()
