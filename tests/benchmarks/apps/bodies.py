"""The bodies of the ladder's FastAPI apps."""

import os
from datetime import datetime
from typing import Annotated

import jwt
from fastapi import Depends, Header
from pydantic import BaseModel, ConfigDict, EmailStr, Field


class Body(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class PostOut(Body):
    id: int
    author_id: int
    title: str
    body: str
    created_at: datetime
    updated_at: datetime


class UserOut(Body):
    id: int
    email: str
    display_name: str
    is_active: bool
    created_at: datetime
    updated_at: datetime


class Page(Body):
    items: list[PostOut]


class UserIn(BaseModel):
    email: EmailStr
    display_name: Annotated[str, Field(min_length=1, max_length=100)]


async def read_token(authorization: Annotated[str, Header()]) -> int:
    token = authorization.removeprefix("Bearer ")
    options = {"verify_aud": False}
    claims = jwt.decode(token, os.environ["SECRET_KEY"], algorithms=["HS256"], options=options)
    return int(claims["sub"])


CallerId = Annotated[int, Depends(read_token)]
