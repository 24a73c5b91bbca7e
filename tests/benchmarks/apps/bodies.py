"""What the ladder's apps share: bodies, the checks of parameters, cursors and tokens.

They promise what the template promises, so that the apps differ in the way to the response alone.
"""

import os
from base64 import b64decode, urlsafe_b64encode
from datetime import datetime
from typing import Annotated, Literal, NamedTuple
from urllib.parse import quote, urlencode

import jwt
from fastapi import Depends, Query
from fastapi.security import OAuth2PasswordBearer
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    EmailStr,
    Field,
    StringConstraints,
    TypeAdapter,
    computed_field,
)
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import Request

WORDS_PER_MINUTE = 200
NEWEST_FIRST = "-created_at"

Id = Annotated[int, Field(ge=1, le=2**53 - 1)]
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]
# No NUL, which PostgreSQL does not store, and something that is neither blank nor control character.
VISIBLE = (
    r"^[^\x00]*"
    r"[^\x00-\x20\x7f-\xa0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]"
    r"[^\x00]*$"
)
DisplayName = Annotated[
    str,
    StringConstraints(pattern=VISIBLE, min_length=1, max_length=100),
    AfterValidator(str.strip),
]


def minutes_to_read(text: str) -> int:
    return max(1, round(len(text.split()) / WORDS_PER_MINUTE))


class Body(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class PostOut(Body):
    id: int
    author_id: int
    title: str
    body: str
    created_at: datetime
    updated_at: datetime
    like_count: int
    liked_by_me: bool

    @computed_field
    def reading_minutes(self) -> int:
        return minutes_to_read(self.body)


class Page(Body):
    items: list[PostOut]
    next_cursor: str | None


class UserOut(Body):
    """A user who was created, where nobody has a password."""

    id: int
    email: str
    display_name: str
    is_active: bool
    created_at: datetime
    updated_at: datetime


class AccountOut(UserOut):
    """The caller."""

    role: Literal["user", "admin"]
    is_email_verified: bool
    pending_email: str | None


class UserIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    email: EmailStr
    display_name: DisplayName


class PageQuery(BaseModel):
    """The parameters of the list.

    All are checked, but the ladder serves the default order of all posts, whatever `author_id`,
    `q` and `sort` say.
    """

    author_id: Id | None = None
    q: Annotated[Text, Field(min_length=1, max_length=100)] | None = None
    sort: Literal["-created_at", "created_at", "title", "-title"] = NEWEST_FIRST
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Annotated[Text, Field(max_length=2000)] | None = None

    @property
    def after(self) -> tuple[datetime, int] | None:
        """The time and the id of the last post of the page before."""
        return read_cursor(self.cursor) if self.cursor else None


PageQueryDep = Annotated[PageQuery, Query()]
ID = TypeAdapter[int](Id)
POSITION = TypeAdapter(tuple[Literal["-created_at"], AwareDatetime, Id])


def make_cursor(created_at: datetime, post_id: int) -> str:
    position = to_json((NEWEST_FIRST, created_at, post_id))
    return urlsafe_b64encode(position).rstrip(b"=").decode()


def read_cursor(cursor: str) -> tuple[datetime, int]:
    try:
        text = b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        _, created_at, post_id = POSITION.validate_json(text)
    except ValueError:
        raise HTTPException(422, "This is no cursor of the list") from None
    return created_at, post_id


def next_link(request: Request, cursor: str) -> str:
    others = [pair for pair in request.query_params.multi_items() if pair[0] != "cursor"]
    path, query = quote(request.scope["path"]), urlencode([*others, ("cursor", cursor)])
    return f'<{path}?{query}>; rel="next"'


class Caller(NamedTuple):
    """What a token says: whose it is, and of which generation of their tokens."""

    user_id: int
    generation: int


SECRET_KEY = os.environ["SECRET_KEY"]
ISSUER, AUDIENCE = os.environ["TOKEN_ISSUER"], os.environ["TOKEN_AUDIENCE"]
CHECKS = {"require": ["iss", "aud", "sub", "exp", "gen"], "strict_aud": True}


def unauthorized() -> HTTPException:
    return HTTPException(401, "Not authenticated", {"WWW-Authenticate": "Bearer"})


def read_token(token: str) -> Caller:
    """Return what a token says. Raises a 401 if signature, issuer, audience or time is wrong."""
    try:
        claims = jwt.decode(
            token,
            SECRET_KEY,
            algorithms=["HS256"],
            audience=AUDIENCE,
            issuer=ISSUER,
            options=CHECKS,
        )
        return Caller(ID.validate_python(claims["sub"]), claims["gen"])
    except (jwt.InvalidTokenError, ValueError):
        raise unauthorized() from None


async def get_caller(
    token: Annotated[str, Depends(OAuth2PasswordBearer(tokenUrl="auth/token"))],
) -> Caller:
    return read_token(token)


CallerDep = Annotated[Caller, Depends(get_caller)]
