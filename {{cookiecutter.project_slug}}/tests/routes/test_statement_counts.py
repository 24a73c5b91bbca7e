"""What each endpoint costs in SQL statements. An N+1 query, or a needless one, fails here."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import event

from app.core.database.sessions import Database
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
    # One more for each limit that it counts against.
    "POST /auth/token": (4, {"data": {"username": "x@example.com", "password": "wrong"}}),
    "POST /auth/refresh": (1, {"data": {"refresh_token": "A" * 64}}),
    "POST /auth/logout": (1, {"data": {"refresh_token": "A" * 64}}),
    "GET /auth/sessions": (1, {}),
    "DELETE /auth/sessions": (4, {}),
    "DELETE /auth/sessions/{session_id}": (1, {}),
    # Whether the account exists is asked later; here it does not.
    "POST /auth/password-reset": (3, {"json": {"email": "x@example.com"}}),
    "POST /auth/password-reset/confirm": (
        1,
        {"json": {"token": "x", "new_password": "staple in the meadow"}},
    ),
    "POST /auth/verify-email": (3, {"json": {"email": "x@example.com"}}),
    "POST /auth/verify-email/confirm": (1, {"json": {"token": "x"}}),
    "POST /auth/password": (
        3,
        {"json": {"current_password": "x", "new_password": "staple in the meadow"}},
    ),
    "POST /auth/invitations": (1, {"json": {"email": "x@example.com"}}),
    "PATCH /users/{user_id}/access": (5, {"json": {"role": "admin"}}),
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
    "POST /auth/refresh",
    "POST /auth/logout",
    "POST /auth/password-reset",
    "POST /auth/password-reset/confirm",
    "POST /auth/verify-email",
    "POST /auth/verify-email/confirm",
}
COSTS |= {
    name: (count + 1, arguments) for name, (count, arguments) in COSTS.items() if name not in OPEN
}
# Whoever is known when they register is asked too. The last administrator cannot be deleted.
for name in ("POST /users", "DELETE /users/{user_id}"):
    COSTS[name] = (COSTS[name][0] + 1, COSTS[name][1])
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
    method, path = name.format(user_id=author.id, post_id=post.id, session_id=1).split()
    statements: list[str] = []

    def record(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    engines = [engine.sync_engine for engine in (live_database.writer, live_database.reader)]
    for engine in engines:
        event.listen(engine, "before_cursor_execute", record)
    try:
        response = await live_client.request(method, path, **arguments)
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", record)

    assert response.status_code < 500
    assert len(statements) == count, statements
