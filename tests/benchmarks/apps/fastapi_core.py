"""FastAPI and SQLAlchemy Core, as fast as their documentation makes them.

Reads are on AUTOCOMMIT by SQLAlchemy's option, the pool has no overflow, and statements are built
once. That option sets and resets the mode of a connection around each use. A second engine that is
on AUTOCOMMIT from its connect on, as the template has, calls a fifth fewer functions for one row.
"""

import os

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
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    bindparam,
    exists,
    func,
    insert,
    make_url,
    select,
    tuple_,
)
from sqlalchemy.exc import IntegrityError
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
    Column("version", Integer),
)
post_likes = Table(
    "post_likes",
    metadata,
    Column("user_id", BigInteger, primary_key=True),
    Column("post_id", BigInteger, primary_key=True),
)
users = Table(
    "users",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("email", String),
    Column("display_name", String),
    Column("is_active", Boolean),
    Column("role", String),
    Column("is_email_verified", Boolean),
    Column("pending_email", String),
    Column("token_generation", Integer),
    Column("created_at", DateTime(timezone=True)),
    Column("updated_at", DateTime(timezone=True)),
    Column("version", Integer),
)

LIKE_COUNT = (
    select(func.count())
    .select_from(post_likes)
    .where(post_likes.c.post_id == posts.c.id)
    .scalar_subquery()
)
LIKED_BY_ME = exists().where(
    post_likes.c.post_id == posts.c.id,
    post_likes.c.user_id == bindparam("viewer_id", type_=BigInteger()),
)
POSTS = select(posts, LIKE_COUNT.label("like_count"), LIKED_BY_ME.label("liked_by_me"))
NOBODY = {"viewer_id": None}  # who asks for posts: the ladder sends no token there
POST = POSTS.where(posts.c.id == bindparam("post_id"))
CALLER = select(users).where(
    users.c.id == bindparam("user_id"),
    users.c.is_active,
    users.c.token_generation == bindparam("generation"),
)
PAGE = POSTS.order_by(posts.c.created_at.desc(), posts.c.id.desc()).limit(bindparam("n"))
NEXT_PAGE = PAGE.where(
    tuple_(posts.c.created_at, posts.c.id)
    < tuple_(
        bindparam("created_at", type_=posts.c.created_at.type),
        bindparam("post_id", type_=posts.c.id.type),
    )
)
NEW_USER = insert(users).returning(
    users.c.id,
    users.c.email,
    users.c.display_name,
    users.c.is_active,
    users.c.created_at,
    users.c.updated_at,
    users.c.version,
)

url = make_url(os.environ["DATABASE_URL"]).set(
    drivername=f"postgresql+{os.environ['LADDER_DRIVER']}"
)
engine = create_async_engine(url, pool_size=15, max_overflow=0)
reads = engine.execution_options(isolation_level="AUTOCOMMIT")

posts_router = APIRouter(prefix="/posts", tags=["posts"])
users_router = APIRouter(prefix="/users", tags=["users"])
health_router = APIRouter(prefix="/health", tags=["health"])


@posts_router.get("/{post_id}")
async def read_post(post_id: Id, response: Response) -> PostOut:
    async with reads.connect() as connection:
        row = (await connection.execute(POST, NOBODY | {"post_id": post_id})).one_or_none()
    if row is None:
        raise HTTPException(404)
    response.headers["ETag"] = f'"{row.version}"'
    return PostOut.model_validate(row)


@users_router.get("/me")
async def read_current_user(caller: CallerDep, response: Response) -> AccountOut:
    async with reads.connect() as connection:
        row = (await connection.execute(CALLER, caller._asdict())).one_or_none()
    if row is None:
        raise unauthorized()
    response.headers["ETag"] = f'"{row.version}"'
    return AccountOut.model_validate(row)


@posts_router.get("")
async def list_posts(query: PageQueryDep, request: Request, response: Response) -> Page:
    statement, parameters = PAGE, NOBODY | {"n": query.limit + 1}
    if after := query.after:
        statement = NEXT_PAGE
        parameters |= {"created_at": after[0], "post_id": after[1]}
    async with reads.connect() as connection:
        rows = (await connection.execute(statement, parameters)).all()
    items = [PostOut.model_validate(row) for row in rows[: query.limit]]
    if len(rows) == len(items):
        return Page(items=items, next_cursor=None)
    cursor = make_cursor(items[-1].created_at, items[-1].id)
    response.headers["Link"] = next_link(request, cursor)
    return Page(items=items, next_cursor=cursor)


@users_router.post("", status_code=201)
async def create_user(data: UserIn, response: Response) -> UserOut:
    try:
        async with engine.begin() as connection:
            row = (await connection.execute(NEW_USER, data.model_dump())).one()
    except IntegrityError:
        raise HTTPException(409) from None
    response.headers["ETag"] = f'"{row.version}"'
    response.headers["Location"] = f"/users/{row.id}"
    return UserOut.model_validate(row)


@health_router.get("/live")
async def live() -> None:
    """Say that the process runs."""


app = FastAPI()
for router in (posts_router, users_router, health_router):
    app.include_router(router)
