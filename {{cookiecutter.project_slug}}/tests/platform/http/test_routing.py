from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from starlette.routing import Mount

from app.core.http.routing import add_routes
from tests.conftest import http_client


async def who() -> str:
    return "anyone"


@pytest.fixture
def app() -> FastAPI:
    router = APIRouter(prefix="/things", tags=["Things"])

    @router.get("/{thing_id}", status_code=203, responses={404: {"description": "No thing"}})
    async def read_thing(thing_id: int, caller: Annotated[str, Depends(who)]) -> list[str | int]:
        return [thing_id, caller]

    @router.websocket("/live")
    async def live(socket: WebSocket, caller: Annotated[str, Depends(who)]) -> None:
        await socket.accept()
        await socket.send_text(caller)
        await socket.close()

    app = FastAPI(generate_unique_id_function=lambda route: f"{route.name} of this app")
    add_routes(app, router, prefix="/v1", responses={500: {"description": "A bug"}})
    return app


async def test_route_is_as_if_it_were_declared_on_the_app(app: FastAPI) -> None:
    async with http_client(app) as client:
        response = await client.get("/v1/things/7")
        without_prefix = await client.get("/things/7")
    described = app.openapi()["paths"]["/v1/things/{thing_id}"]["get"]

    assert (response.status_code, response.json()) == (203, [7, "anyone"])
    assert without_prefix.status_code == 404
    assert described["tags"] == ["Things"]
    assert described["operationId"] == "read_thing of this app"
    assert described["responses"].keys() == {"203", "404", "422", "500"}


async def test_overrides_of_the_app_hold(app: FastAPI) -> None:
    app.dependency_overrides[who] = lambda: "somebody else"
    async with http_client(app) as client:
        response: httpx.Response = await client.get("/v1/things/7")

    assert response.json() == [7, "somebody else"]


async def test_web_socket_is_declared_too(app: FastAPI) -> None:
    app.dependency_overrides[who] = lambda: "somebody else"
    scope = {"type": "websocket", "path": "/v1/things/live", "query_string": b"", "headers": []}
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)

    assert "somebody else" in [message.get("text") for message in sent]


def test_what_is_no_route_of_fastapi_is_refused() -> None:
    router = APIRouter(routes=[Mount("/files", app=FastAPI())])

    with pytest.raises(TypeError, match="add it to the app itself"):
        add_routes(FastAPI(), router)
