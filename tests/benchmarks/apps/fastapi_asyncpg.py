"""FastAPI with declared bodies, and asyncpg without anything between."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from bodies import (
    AccountOut,
    CallerDep,
    Id,
    Page,
    PageQueryDep,
    PostOut,
    UserIn,
    UserOut,
    make_cursor,
    next_link,
    unauthorized,
)
from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from starlette_asyncpg import CALLER, NEW_USER, NEXT_PAGE, NOBODY, PAGE, POST, etag

pool: Any = None


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    global pool
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=15, max_size=15) as pool:
        yield


posts_router = APIRouter(prefix="/posts", tags=["posts"])
users_router = APIRouter(prefix="/users", tags=["users"])
health_router = APIRouter(prefix="/health", tags=["health"])


@posts_router.get("/{post_id}")
async def read_post(post_id: Id, response: Response) -> PostOut:
    row = await pool.fetchrow(POST, post_id, NOBODY)
    if row is None:
        raise HTTPException(404)
    response.headers["ETag"] = etag(row)
    return PostOut(**row)


@users_router.get("/me")
async def read_current_user(caller: CallerDep, response: Response) -> AccountOut:
    row = await pool.fetchrow(CALLER, *caller)
    if row is None:
        raise unauthorized()
    response.headers["ETag"] = etag(row)
    return AccountOut(**row)


@posts_router.get("")
async def list_posts(query: PageQueryDep, request: Request, response: Response) -> Page:
    after = query.after or ()
    rows = await pool.fetch(NEXT_PAGE if after else PAGE, query.limit + 1, NOBODY, *after)
    items = [PostOut(**row) for row in rows[: query.limit]]
    if len(rows) == len(items):
        return Page(items=items, next_cursor=None)
    cursor = make_cursor(items[-1].created_at, items[-1].id)
    response.headers["Link"] = next_link(request, cursor)
    return Page(items=items, next_cursor=cursor)


@users_router.post("", status_code=201)
async def create_user(data: UserIn, response: Response) -> UserOut:
    try:
        row = await pool.fetchrow(NEW_USER, data.email, data.display_name)
    except asyncpg.UniqueViolationError:
        raise HTTPException(409) from None
    response.headers["ETag"] = etag(row)
    response.headers["Location"] = f"/users/{row['id']}"
    return UserOut(**row)


@health_router.get("/live")
async def live() -> None:
    """Say that the process runs."""


app = FastAPI(lifespan=lifespan)
for router in (posts_router, users_router, health_router):
    app.include_router(router)
