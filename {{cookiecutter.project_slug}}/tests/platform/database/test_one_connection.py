"""Every endpoint of the app does with one connection at a time."""

import asyncio
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, Final

import httpx
import pytest
from fastapi import FastAPI

from app.core.database.sessions import Database
from app.routes import HEALTH, ROUTERS
from tests.conftest import http_client

PASSWORD: Final = "correct horse battery"
# What a text holds, by the name of its field; other texts are any.
TEXTS: Final = {
    "password": PASSWORD,
    "current_password": PASSWORD,
    "new_password": "staple in the meadow",
    "username": "owner@example.com",
    "refresh_token": "A" * 64,
}
_numbers = count(1)


class Api:
    """The operations of an app, and requests that they accept, by its OpenAPI document."""

    def __init__(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        self._document = app.openapi()
        self._client = client
        self.ids: dict[str, int] = {}

    async def fill(self) -> None:
        """Create a row by each operation that says how the others name it."""
        todo = {name: names for name in operations(self._document) if (names := self._links(name))}
        for _ in range(len(todo)):  # at worst, each needs the row of the one after it
            for name in list(todo):
                response = await self.send(name)
                if response.status_code == 201:
                    self.ids |= dict.fromkeys(todo.pop(name), response.json()["id"])
        assert not todo

    def _links(self, name: str) -> set[str]:
        """Return the names of what a created row's id is to other operations."""
        links = self._operation(name)["responses"].get("201", {}).get("links", {})
        return {parameter for link in links.values() for parameter in link["parameters"]}

    async def send(self, name: str, headers: dict[str, str] | None = None) -> httpx.Response:
        method, path = name.split()
        for parameter in self._operation(name).get("parameters", []):
            path = path.replace(
                "{" + parameter["name"] + "}", str(self.ids.get(parameter["name"], 1))
            )
        options: dict[str, Any] = {"headers": headers or {}}
        if method == "POST":
            options["headers"] |= {"Idempotency-Key": f"key{next(_numbers)}"}
        for kind, body in self._operation(name).get("requestBody", {}).get("content", {}).items():
            options["json" if "json" in kind else "data"] = self._make(body["schema"])
        return await self._client.request(method, path, **options)

    async def register(self) -> httpx.Response:
        self.ids["user_id"] = 0  # so that the address is another one each time
        return await self.send("POST /users")

    def _operation(self, name: str) -> dict[str, Any]:
        method, path = name.split()
        operation: dict[str, Any] = self._document["paths"][path][method.lower()]
        return operation

    def _make(self, schema: dict[str, Any], name: str = "") -> Any:
        """Make a value that a schema describes: of objects, what is required, or else everything."""
        if "$ref" in schema:
            kind = schema["$ref"].rpartition("/")[2]
            return self._make(self._document["components"]["schemas"][kind], name)
        if "anyOf" in schema:
            return self._make(schema["anyOf"][0], name)
        if "const" in schema or "enum" in schema:
            return schema.get("const") or schema["enum"][0]
        if schema["type"] == "object":
            fields = schema["properties"]
            return {
                field: self._make(fields[field], field) for field in schema.get("required", fields)
            }
        if schema["type"] == "array":
            return [self._make(schema["items"])]
        if schema["type"] == "integer":
            return self.ids.get(name, self.ids.get("user_id", 1))
        if schema["type"] == "boolean":
            return True
        return self._text(schema, name)

    def _text(self, schema: dict[str, Any], name: str) -> str:
        if schema.get("format") == "email":
            is_taken = "user_id" in self.ids
            return f"other{next(_numbers)}@example.com" if is_taken else TEXTS["username"]
        return TEXTS.get(name, "Text")


def operations(document: dict[str, Any]) -> Iterator[str]:
    for path, methods in document["paths"].items():
        for method in methods:
            yield f"{method.upper()} {path}"


def declared_operations() -> list[str]:
    app = FastAPI()
    for router in (*ROUTERS, HEALTH):
        app.include_router(router)
    return list(operations(app.openapi()))


@pytest.fixture
async def api(
    app: FastAPI, live_client: httpx.AsyncClient, open_database: Callable[..., Database]
) -> Api:
    """The app with pools of one connection each, in which rows exist."""
    app.state.database = open_database(
        database_pool_size=1, database_read_pool_size=1, database_pool_timeout=2
    )
    api = Api(app, live_client)
    await api.fill()
    return api


CALLERS = ["anyone"]
# {% if cookiecutter.use_auth %}
CALLERS = ["admin", "owner", "nobody"]
# {% endif %}


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("name", declared_operations())
async def test_endpoint_does_with_one_connection_at_a_time(
    api: Api, live_client: httpx.AsyncClient, name: str, caller: str
) -> None:
    # {% if cookiecutter.use_auth %}
    if caller == "owner":
        form = {"username": TEXTS["username"], "password": PASSWORD}
        tokens = (await live_client.post("/auth/token", data=form)).json()
        live_client.headers["Authorization"] = f"Bearer {tokens['access_token']}"
    elif caller == "nobody":
        del live_client.headers["Authorization"]
    # {% endif %}

    response = await api.send(name)

    assert response.status_code < 500, response.text
    assert response.status_code != 422, response.text


async def test_many_who_register_at_once_all_get_their_answer(
    app_with: Callable[..., FastAPI], live_client: httpx.AsyncClient, live_database: Database
) -> None:
    """Each claims a key, counts against limits and hashes; none waits with what others need."""
    changes: dict[str, object] = {}
    # {% if cookiecutter.use_auth %}
    changes["mails_per_address"] = 1000
    # {% endif %}
    app = app_with(**changes)
    app.state.database = live_database

    async with http_client(app) as client:
        api = Api(app, client)
        responses = await asyncio.gather(*(api.register() for _ in range(64)))

    assert [response.status_code for response in responses] == [201] * 64
