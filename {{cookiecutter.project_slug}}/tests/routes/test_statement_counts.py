"""What each endpoint costs in SQL statements. An N+1 query, or a needless one, fails here."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import event

from app.core.database import Database
from tests.factories import Factory

POST = {"title": "Title", "body": "Body"}
IMPORTED = [
    {"email": f"{number}@example.com", "display_name": "Name", "posts": [POST] * 3}
    for number in range(20)
]
USER = {
    "email": "new@example.com",
    "display_name": "New",
    # {% if cookiecutter.use_auth %}
    "password": "correct horse battery",
    # {% endif %}
}

# Each endpoint: its statements without BEGIN and COMMIT, and what to send.
COSTS: dict[str, tuple[int, dict[str, Any]]] = {
    # The readiness check asks on a connection of its own.
    "GET /health/live": (0, {}),
    "GET /health/ready": (0, {}),
    "POST /users": (1, {"json": USER}),
    "POST /users/import": (2, {"json": {"users": IMPORTED}}),
    "GET /users": (1, {}),
    "GET /users/{user_id}": (1, {}),
    "PATCH /users/{user_id}": (2, {"json": {"display_name": "Other"}}),
    "DELETE /users/{user_id}": (2, {}),
    # The second one is the announcement's.
    "POST /posts": (2, {"json": {"author_id": 0} | POST}),
    "GET /posts": (1, {}),
    "GET /posts/{post_id}": (1, {}),
    "PATCH /posts/{post_id}": (2, {"json": {"title": "Other"}}),
    "DELETE /posts/{post_id}": (2, {}),
    # {% if cookiecutter.use_auth %}
    "POST /auth/token": (1, {"data": {"username": "x@example.com", "password": "wrong"}}),
    "GET /users/me": (0, {}),
    "PATCH /users/me": (2, {"json": {"display_name": "Other"}}),
    # {% endif %}
}
# {% if cookiecutter.use_auth %}
# Everyone else is asked who they are: one statement more.
OPEN = {
    "GET /health/live",
    "GET /health/ready",
    "POST /users",
    "GET /posts",
    "GET /posts/{post_id}",
    "POST /auth/token",
}
COSTS |= {
    name: (count + 1, arguments) for name, (count, arguments) in COSTS.items() if name not in OPEN
}
# {% endif %}


def test_every_endpoint_has_its_costs(app: FastAPI) -> None:
    paths = app.openapi()["paths"]

    assert COSTS.keys() == {
        f"{method.upper()} {path}" for path, methods in paths.items() for method in methods
    }


@pytest.mark.parametrize("name", COSTS)
async def test_endpoint_runs_no_more_statements_than_it_needs(
    live_client: httpx.AsyncClient, live_database: Database, make_live: Factory, name: str
) -> None:
    author = await make_live.user()
    post = await make_live.post(author)
    for _ in range(3):
        await make_live.post(author)
    count, arguments = COSTS[name]
    if "author_id" in arguments.get("json", {}):
        arguments = {"json": arguments["json"] | {"author_id": author.id}}
    method, path = name.format(user_id=author.id, post_id=post.id).split()
    statements: list[str] = []

    def record(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    engine = live_database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", record)
    try:
        response = await live_client.request(method, path, **arguments)
    finally:
        event.remove(engine, "before_cursor_execute", record)

    assert response.status_code < 500
    assert len(statements) == count, statements
