"""WebSocket routes use the dependencies of the app, and a session for each message."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from sqlalchemy import text
from starlette.websockets import WebSocketDisconnect

from app.core.database import Database
from app.core.database.budget import SecondConnectionError
from app.dependencies.caller import Caller, OptionalCaller
from app.dependencies.database import DatabaseDep
from app.dependencies.settings import SettingsDep
from app.exceptions import ConflictError
from tests.factories import Factory
from tests.platform.probe import ProbeService, make_probe

router = APIRouter()


@router.websocket("/names")
async def names(socket: WebSocket, database: DatabaseDep, caller: OptionalCaller) -> None:
    """Respond to each id with the name of the probe: a session for each message."""
    await socket.accept()
    try:
        while True:
            probe_id = int(await socket.receive_text())
            async with database.read() as session:
                name = (await ProbeService(session, caller).get(probe_id)).name
            await socket.send_text(name)  # holds no connection
    except WebSocketDisconnect:
        pass


@router.websocket("/nested")
async def nested(socket: WebSocket, database: DatabaseDep) -> None:
    await socket.accept()
    async with database.read() as session, database.transaction() as another:
        await session.execute(text("SELECT 1"))
        await another.execute(text("SELECT 1"))


@router.websocket("/about")
async def about(socket: WebSocket, settings: SettingsDep, caller: Caller) -> None:
    await socket.accept()
    await socket.send_json({"prefix": settings.api_prefix, "known": caller is not None})


@router.websocket("/broken")
async def broken(socket: WebSocket) -> None:
    await socket.accept()
    raise ConflictError("ä" * 100)


class Socket:
    """A client of a WebSocket route, on the event loop of the test."""

    def __init__(self, app: FastAPI, path: str, headers: dict[str, str]) -> None:
        self._received: asyncio.Queue[Any] = asyncio.Queue()
        self._sent: asyncio.Queue[Any] = asyncio.Queue()
        scope = {
            "type": "websocket",
            "path": path,
            "query_string": b"",
            "headers": [(k.lower().encode(), v.encode()) for k, v in headers.items()],
            "client": ("127.0.0.1", 12345),
            "extensions": {"websocket.http.response": {}},
        }
        self._received.put_nowait({"type": "websocket.connect"})
        self.served = asyncio.create_task(app(scope, self._received.get, self._sent.put))

    async def next(self) -> Any:
        return await asyncio.wait_for(self._sent.get(), 10)

    async def ask(self, question: str) -> str:
        self._received.put_nowait({"type": "websocket.receive", "text": question})
        answer: str = (await self.next())["text"]
        return answer

    async def leave(self) -> None:
        self._received.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await asyncio.wait_for(self.served, 10)


@pytest.fixture
def socket_app(app_with_routers: Callable[..., FastAPI], probe_table: None) -> FastAPI:
    return app_with_routers(router)


async def test_each_message_has_a_session_of_its_own(
    socket_app: FastAPI,
    live_database: Database,
    make_live: Factory,
    live_admin_headers: dict[str, str],
) -> None:
    probe = await make_probe(make_live)
    socket_app.state.database = live_database
    socket = Socket(socket_app, "/names", live_admin_headers)
    assert (await socket.next())["type"] == "websocket.accept"

    assert [await socket.ask(str(probe.id)) for _ in range(3)] == [probe.name] * 3
    held = live_database.reader.pool.checkedout()  # type: ignore[attr-defined]
    await socket.leave()

    assert held == 0


async def test_socket_holds_one_connection_at_a_time(
    socket_app: FastAPI, live_database: Database
) -> None:
    socket_app.state.database = live_database
    socket = Socket(socket_app, "/nested", {})

    with pytest.raises(SecondConnectionError):
        await socket.served


async def test_settings_and_caller_are_known(
    socket_app: FastAPI, database: Database, admin_headers: dict[str, str]
) -> None:
    socket_app.state.database = database
    socket = Socket(socket_app, "/about", admin_headers)

    assert (await socket.next())["type"] == "websocket.accept"
    about = json.loads((await socket.next())["text"])
    await socket.served

    assert about == {"prefix": "", "known": bool(admin_headers)}


async def test_error_after_the_handshake_closes_the_socket_with_its_reason(
    socket_app: FastAPI,
) -> None:
    socket = Socket(socket_app, "/broken", {})

    assert (await socket.next())["type"] == "websocket.accept"
    close = await socket.next()
    await socket.served

    assert (close["type"], close["code"]) == ("websocket.close", 1008)
    assert close["reason"] == "ä" * 61  # 123 bytes at most


async def test_socket_for_another_host_is_refused(app_with_routers: Callable[..., FastAPI]) -> None:
    app = app_with_routers(router, allowed_hosts=("api.example.com",))
    refused = await Socket(app, "/broken", {"Host": "evil.example"}).next()
    accepted = await Socket(app, "/broken", {"Host": "api.example.com"}).next()

    assert refused["type"] == "websocket.close"
    assert accepted["type"] == "websocket.accept"
