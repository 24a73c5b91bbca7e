"""The floor: Starlette and asyncpg, JSON by the standard library."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import asyncpg
from bodies import (
    ID,
    PageQuery,
    UserIn,
    make_cursor,
    minutes_to_read,
    next_link,
    read_token,
    unauthorized,
)
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

POSTS = (
    "SELECT id, author_id, title, body, created_at, updated_at,"
    " (SELECT count(*) FROM post_likes WHERE post_id = posts.id) AS like_count,"
    " EXISTS (SELECT FROM post_likes WHERE post_id = posts.id AND user_id = $2) AS liked_by_me,"
    " version FROM posts"
)
NEWEST_FIRST = "ORDER BY created_at DESC, id DESC LIMIT $1"
POST = f"{POSTS} WHERE id = $1"
PAGE = f"{POSTS} {NEWEST_FIRST}"
NEXT_PAGE = f"{POSTS} WHERE (created_at, id) < ($3, $4) {NEWEST_FIRST}"
NOBODY = None  # who asks for posts: the ladder sends no token there
CALLER = (
    "SELECT id, email, display_name, is_active, role, is_email_verified, pending_email,"
    " created_at, updated_at, version FROM users WHERE id = $1 AND is_active AND token_generation = $2"
)
NEW_USER = (
    "INSERT INTO users (email, display_name) VALUES ($1, $2)"
    " RETURNING id, email, display_name, is_active, created_at, updated_at, version"
)


def moment(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


def respond(value: Any, status: int = 200, **headers: str) -> Response:
    body = json.dumps(value, default=moment)
    return Response(body, status, headers, media_type="application/json")


def as_user(row: asyncpg.Record) -> dict[str, Any]:
    user = dict(row)
    del user["version"]  # goes into the ETag
    return user


def as_post(row: asyncpg.Record) -> dict[str, Any]:
    post = dict(row, reading_minutes=minutes_to_read(row["body"]))
    del post["version"]
    return post


def etag(row: asyncpg.Record) -> str:
    """Return the version of a row. No post has likes here, which would follow it."""
    return f'"{row["version"]}"'


async def read_post(request: Request) -> Response:
    post_id = ID.validate_python(request.path_params["post_id"])
    row = await request.app.state.pool.fetchrow(POST, post_id, NOBODY)
    if row is None:
        raise HTTPException(404)
    return respond(as_post(row), ETag=etag(row))


async def read_current_user(request: Request) -> Response:
    caller = read_token(request.headers.get("Authorization", "").removeprefix("Bearer "))
    row = await request.app.state.pool.fetchrow(CALLER, *caller)
    if row is None:
        raise unauthorized()
    return respond(as_user(row), ETag=etag(row))


async def list_posts(request: Request) -> Response:
    query = PageQuery.model_validate(request.query_params)
    after = query.after or ()
    statement = NEXT_PAGE if after else PAGE
    rows = await request.app.state.pool.fetch(statement, query.limit + 1, NOBODY, *after)
    items = rows[: query.limit]
    if len(rows) == len(items):
        return respond({"items": [as_post(row) for row in items], "next_cursor": None})
    cursor = make_cursor(items[-1]["created_at"], items[-1]["id"])
    page = {"items": [as_post(row) for row in items], "next_cursor": cursor}
    return respond(page, Link=next_link(request, cursor))


async def create_user(request: Request) -> Response:
    data = UserIn.model_validate_json(await request.body())
    try:
        row = await request.app.state.pool.fetchrow(NEW_USER, data.email, data.display_name)
    except asyncpg.UniqueViolationError:
        raise HTTPException(409) from None
    return respond(as_user(row), 201, ETag=etag(row), Location=f"/users/{row['id']}")


async def unprocessable(_: Request, error: Exception) -> Response:
    return respond({"detail": str(error)}, 422)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=15, max_size=15) as pool:
        app.state.pool = pool
        yield


app = Starlette(
    lifespan=lifespan,
    exception_handlers={ValidationError: unprocessable},
    routes=[
        Route("/posts/{post_id}", read_post),
        Route("/users/me", read_current_user),
        Route("/posts", list_posts),
        Route("/users", create_user, methods=["POST"]),
        Route("/health/live", lambda _: Response()),
    ],
)
