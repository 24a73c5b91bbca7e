"""FastAPI and SQLAlchemy Core, as fast as that goes.

Reads are on AUTOCOMMIT, the pool has no overflow, and statements are built once.
"""

import os

from bodies import CallerId, Page, PostOut, UserIn, UserOut
from fastapi import FastAPI
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    MetaData,
    String,
    Table,
    Text,
    bindparam,
    insert,
    make_url,
    select,
)
from sqlalchemy.ext.asyncio import create_async_engine

metadata = MetaData()
posts = Table(
    "posts",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("author_id", BigInteger),
    Column("title", String),
    Column("body", Text),
    Column("created_at", DateTime(timezone=True)),
    Column("updated_at", DateTime(timezone=True)),
)
users = Table(
    "users",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("email", String),
    Column("display_name", String),
    Column("is_active", Boolean),
    Column("created_at", DateTime(timezone=True)),
    Column("updated_at", DateTime(timezone=True)),
)

POST = select(posts).where(posts.c.id == bindparam("post_id"))
USER = select(users).where(users.c.id == bindparam("user_id"))
PAGE = select(posts).order_by(posts.c.created_at.desc(), posts.c.id.desc()).limit(bindparam("n"))
NEW_USER = insert(users).returning(*users.c)

url = make_url(os.environ["DATABASE_URL"]).set(
    drivername=f"postgresql+{os.environ['LADDER_DRIVER']}"
)
engine = create_async_engine(url, pool_size=15, max_overflow=0)
reads = engine.execution_options(isolation_level="AUTOCOMMIT")
app = FastAPI()


@app.get("/posts/{post_id}")
async def read_post(post_id: int) -> PostOut:
    async with reads.connect() as connection:
        row = (await connection.execute(POST, {"post_id": post_id})).one()
    return PostOut.model_validate(row)


@app.get("/users/me")
async def read_current_user(user_id: CallerId) -> UserOut:
    async with reads.connect() as connection:
        row = (await connection.execute(USER, {"user_id": user_id})).one()
    return UserOut.model_validate(row)


@app.get("/posts")
async def list_posts(limit: int) -> Page:
    async with reads.connect() as connection:
        rows = (await connection.execute(PAGE, {"n": limit})).all()
    return Page(items=[PostOut.model_validate(row) for row in rows])


@app.post("/users", status_code=201)
async def create_user(data: UserIn) -> UserOut:
    async with engine.begin() as connection:
        row = (await connection.execute(NEW_USER, data.model_dump())).one()
    return UserOut.model_validate(row)


@app.get("/health/live")
async def live() -> None:
    """Say that the process runs."""
