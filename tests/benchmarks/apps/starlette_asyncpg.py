"""The floor: Starlette and asyncpg, JSON by the standard library."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import jwt
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

POST = "SELECT id, author_id, title, body, created_at, updated_at FROM posts"
USER = "SELECT id, email, display_name, is_active, created_at, updated_at FROM users"
NEW_USER = (
    "INSERT INTO users (email, display_name) VALUES ($1, $2)"
    " RETURNING id, email, display_name, is_active, created_at, updated_at"
)


def answer(value: Any, status: int = 200) -> Response:
    body = json.dumps(value, default=lambda moment: moment.isoformat())
    return Response(body, status, media_type="application/json")


async def read_post(request: Request) -> Response:
    post_id = int(request.path_params["post_id"])
    return answer(dict(await request.app.state.pool.fetchrow(f"{POST} WHERE id = $1", post_id)))


async def read_current_user(request: Request) -> Response:
    token = request.headers["Authorization"].removeprefix("Bearer ")
    options = {"verify_aud": False}
    claims = jwt.decode(token, os.environ["SECRET_KEY"], algorithms=["HS256"], options=options)
    user_id = int(claims["sub"])
    return answer(dict(await request.app.state.pool.fetchrow(f"{USER} WHERE id = $1", user_id)))


async def list_posts(request: Request) -> Response:
    limit = int(request.query_params["limit"])
    rows = await request.app.state.pool.fetch(
        f"{POST} ORDER BY created_at DESC, id DESC LIMIT $1", limit
    )
    return answer({"items": [dict(row) for row in rows]})


async def create_user(request: Request) -> Response:
    data = await request.json()
    row = await request.app.state.pool.fetchrow(NEW_USER, data["email"], data["display_name"])
    return answer(dict(row), 201)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=15, max_size=15) as pool:
        app.state.pool = pool
        yield


app = Starlette(
    lifespan=lifespan,
    routes=[
        Route("/posts/{post_id}", read_post),
        Route("/users/me", read_current_user),
        Route("/posts", list_posts),
        Route("/users", create_user, methods=["POST"]),
        Route("/health/live", lambda _: Response()),
    ],
)
