"""FastAPI with declared bodies, and asyncpg without anything between."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from bodies import CallerId, Page, PostOut, UserIn, UserOut
from fastapi import FastAPI
from starlette_asyncpg import NEW_USER, POST, USER

pool: Any = None


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    global pool
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=15, max_size=15) as pool:
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/posts/{post_id}")
async def read_post(post_id: int) -> PostOut:
    return PostOut(**await pool.fetchrow(f"{POST} WHERE id = $1", post_id))


@app.get("/users/me")
async def read_current_user(user_id: CallerId) -> UserOut:
    return UserOut(**await pool.fetchrow(f"{USER} WHERE id = $1", user_id))


@app.get("/posts")
async def list_posts(limit: int) -> Page:
    rows = await pool.fetch(f"{POST} ORDER BY created_at DESC, id DESC LIMIT $1", limit)
    return Page(items=[PostOut(**row) for row in rows])


@app.post("/users", status_code=201)
async def create_user(data: UserIn) -> UserOut:
    return UserOut(**await pool.fetchrow(NEW_USER, data.email, data.display_name))


@app.get("/health/live")
async def live() -> None:
    """Say that the process runs."""
