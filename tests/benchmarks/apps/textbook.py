"""The layered app of most tutorials.

A transaction for each request, pre-ping, the default pool, repository and service by plain `def`
dependencies, ORM objects to the response model.
"""

import os
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Annotated, Any

from bodies import (
    AccountOut,
    CallerDep,
    Id,
    Page,
    PageQuery,
    PageQueryDep,
    PostOut,
    UserIn,
    UserOut,
    make_cursor,
    next_link,
    unauthorized,
)
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Table,
    Text,
    bindparam,
    exists,
    func,
    make_url,
    select,
    tuple_,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column

url = make_url(os.environ["DATABASE_URL"]).set(
    drivername=f"postgresql+{os.environ['LADDER_DRIVER']}"
)
engine = create_async_engine(url, pool_pre_ping=True)
sessions = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), onupdate=func.now()
    )
    version: Mapped[int] = mapped_column(server_default="1")


class Post(Base):
    __tablename__ = "posts"

    author_id: Mapped[int] = mapped_column(BigInteger)
    title: Mapped[str]
    body: Mapped[str] = mapped_column(Text)


post_likes = Table(
    "post_likes",
    Base.metadata,
    Column("user_id", BigInteger, primary_key=True),
    Column("post_id", BigInteger, primary_key=True),
)
Post.like_count = column_property(
    select(func.count())
    .select_from(post_likes)
    .where(post_likes.c.post_id == Post.id)
    .correlate_except(post_likes)
    .scalar_subquery()
)
# Nobody asks for posts: the ladder sends no token there.
Post.liked_by_me = column_property(
    exists()
    .where(
        post_likes.c.post_id == Post.id,
        post_likes.c.user_id == bindparam("viewer_id", None, type_=BigInteger()),
    )
    .correlate_except(post_likes)
)


class User(Base):
    __tablename__ = "users"

    email: Mapped[str]
    display_name: Mapped[str]
    is_active: Mapped[bool] = mapped_column(server_default="true")
    role: Mapped[str] = mapped_column(server_default="user")
    is_email_verified: Mapped[bool] = mapped_column(server_default="false")
    pending_email: Mapped[str | None]
    token_generation: Mapped[int] = mapped_column(server_default="1")


async def get_session() -> AsyncIterator[AsyncSession]:
    async with sessions() as session, session.begin():
        yield session


SessionDep = Annotated[AsyncSession, Depends(get_session)]


class PostRepository:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def get(self, post_id: int) -> Post | None:
        return await self.session.get(Post, post_id)

    async def list_newest(self, limit: int, after: tuple[datetime, int] | None) -> Sequence[Post]:
        statement = select(Post).order_by(Post.created_at.desc(), Post.id.desc()).limit(limit)
        if after:
            statement = statement.where(tuple_(Post.created_at, Post.id) < after)
        return (await self.session.execute(statement)).scalars().all()


class UserRepository:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def get(self, user_id: int) -> User | None:
        return await self.session.get(User, user_id)

    async def create(self, user: User) -> User:
        self.session.add(user)
        await self.session.flush()
        await self.session.refresh(user)
        return user


def get_post_repository(session: SessionDep) -> PostRepository:
    return PostRepository(session)


def get_user_repository(session: SessionDep) -> UserRepository:
    return UserRepository(session)


class PostService:
    def __init__(self, posts: PostRepository) -> None:
        self.posts = posts

    async def get(self, post_id: int) -> Post:
        post = await self.posts.get(post_id)
        if post is None:
            raise HTTPException(404)
        return post

    async def list_newest(self, query: PageQuery) -> tuple[Sequence[Post], str | None]:
        posts = await self.posts.list_newest(query.limit + 1, query.after)
        if len(posts) <= query.limit:
            return posts, None
        last = posts[query.limit - 1]
        return posts[: query.limit], make_cursor(last.created_at, last.id)


class UserService:
    def __init__(self, users: UserRepository) -> None:
        self.users = users

    async def get_active(self, user_id: int, generation: int) -> User:
        user = await self.users.get(user_id)
        if user is None or not user.is_active or user.token_generation != generation:
            raise unauthorized()
        return user

    async def create(self, data: UserIn) -> User:
        try:
            return await self.users.create(User(**data.model_dump()))
        except IntegrityError:
            raise HTTPException(409) from None


def get_post_service(
    posts: Annotated[PostRepository, Depends(get_post_repository)],
) -> PostService:
    return PostService(posts)


def get_user_service(
    users: Annotated[UserRepository, Depends(get_user_repository)],
) -> UserService:
    return UserService(users)


PostServiceDep = Annotated[PostService, Depends(get_post_service)]
UserServiceDep = Annotated[UserService, Depends(get_user_service)]


async def get_current_user(caller: CallerDep, users: UserServiceDep) -> User:
    return await users.get_active(caller.user_id, caller.generation)


posts_router = APIRouter(prefix="/posts", tags=["posts"])
users_router = APIRouter(prefix="/users", tags=["users"])
health_router = APIRouter(prefix="/health", tags=["health"])


@posts_router.get("/{post_id}", response_model=PostOut)
async def read_post(post_id: Id, posts: PostServiceDep, response: Response) -> Post:
    post = await posts.get(post_id)
    response.headers["ETag"] = f'"{post.version}"'
    return post


@users_router.get("/me", response_model=AccountOut)
async def read_current_user(
    user: Annotated[User, Depends(get_current_user)], response: Response
) -> User:
    response.headers["ETag"] = f'"{user.version}"'
    return user


@posts_router.get("", response_model=Page)
async def list_posts(
    query: PageQueryDep, posts: PostServiceDep, request: Request, response: Response
) -> dict[str, Any]:
    items, cursor = await posts.list_newest(query)
    if cursor:
        response.headers["Link"] = next_link(request, cursor)
    return {"items": items, "next_cursor": cursor}


@users_router.post("", status_code=201, response_model=UserOut)
async def create_user(data: UserIn, users: UserServiceDep, response: Response) -> User:
    user = await users.create(data)
    response.headers["ETag"] = f'"{user.version}"'
    response.headers["Location"] = f"/users/{user.id}"
    return user


@health_router.get("/live")
async def live() -> None:
    """Say that the process runs."""


app = FastAPI()
for router in (posts_router, users_router, health_router):
    app.include_router(router)
