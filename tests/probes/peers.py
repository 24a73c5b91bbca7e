"""How each service is asked to sign somebody up, and to create, read and change a resource.

Only requests stand here, as the API of each template has them. How a peer is installed and started is not
this repository's: a file given on the command line says so (`launches.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass

from probes.asking import Request

PASSWORD = "Correct-Horse-Battery-1!"  # noqa: S105 (opens nothing of worth)


@dataclass(frozen=True)
class Account:
    """The user as whom a probe asks."""

    name: str
    id: str = ""
    token: str = ""

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


@dataclass(frozen=True)
class Peer:
    """The requests of a service. None where its API has no such thing.

    `create` puts its text into `column` of `table`; `page` reads `page_table`; `trivial` needs no database.
    """

    name: str
    sign_up: Callable[[str], Request]
    sign_in: Callable[[str], Request]
    me: Callable[[Account], Request]
    create: Callable[[Account, str], Request]
    page: Callable[[Account], Request]
    table: str
    column: str
    page_table: str
    trivial: Request
    read: Callable[[Account, str], Request] | None = None
    update: Callable[[Account, str, str], Request] | None = None


def form(path: str, name: str) -> Request:
    return Request(
        "POST", path, form={"grant_type": "password", "username": name, "password": PASSWORD}
    )


TEMPLATE = Peer(
    name="this template",
    sign_up=lambda name: Request(
        "POST",
        "/users",
        {"email": f"{name}@example.com", "display_name": name, "password": PASSWORD},
    ),
    sign_in=lambda name: form("/auth/token", f"{name}@example.com"),
    me=lambda account: Request("GET", "/users/me", headers=account.headers),
    create=lambda account, text: Request(
        "POST",
        "/posts",
        {"author_id": int(account.id), "title": text, "body": "Body"},
        account.headers,
    ),
    page=lambda account: Request("GET", "/posts?limit=20", headers=account.headers),
    table="posts",
    column="title",
    page_table="posts",
    trivial=Request("GET", "/health/live"),
    read=lambda account, row: Request("GET", f"/posts/{row}", headers=account.headers),
    update=lambda account, row, text: Request(
        "PATCH", f"/posts/{row}", {"title": text}, account.headers
    ),
)

FULL_STACK = Peer(
    name="full-stack-fastapi-template",
    sign_up=lambda name: Request(
        "POST", "/api/v1/users/signup", {"email": f"{name}@example.com", "password": PASSWORD}
    ),
    sign_in=lambda name: form("/api/v1/login/access-token", f"{name}@example.com"),
    me=lambda account: Request("GET", "/api/v1/users/me", headers=account.headers),
    create=lambda account, text: Request(
        "POST", "/api/v1/items/", {"title": text}, account.headers
    ),
    page=lambda account: Request("GET", "/api/v1/items/?limit=20", headers=account.headers),
    table="item",
    column="title",
    page_table="item",
    trivial=Request("GET", "/api/v1/utils/health-check/"),
    read=lambda account, row: Request("GET", f"/api/v1/items/{row}", headers=account.headers),
    update=lambda account, row, text: Request(
        "PUT", f"/api/v1/items/{row}", {"title": text}, account.headers
    ),
)

BOILERPLATE = Peer(
    name="FastAPI-boilerplate",
    sign_up=lambda name: Request(
        "POST",
        "/api/v1/user",
        {"name": name, "username": name, "email": f"{name}@example.com", "password": PASSWORD},
    ),
    sign_in=lambda name: form("/api/v1/login", name),
    me=lambda account: Request("GET", "/api/v1/user/me/", headers=account.headers),
    create=lambda account, text: Request(
        "POST", f"/api/v1/{account.name}/post", {"title": text, "text": "Body"}, account.headers
    ),
    # Its page of posts comes from Redis for a minute, and that of users never does.
    page=lambda account: Request("GET", "/api/v1/users?items_per_page=20", headers=account.headers),
    table="post",
    column="title",
    page_table="user",
    trivial=Request("GET", "/no-such-path"),  # it has no health check
    read=lambda account, row: Request(
        "GET", f"/api/v1/{account.name}/post/{row}", headers=account.headers
    ),
    update=lambda account, row, text: Request(
        "PATCH", f"/api/v1/{account.name}/post/{row}", {"title": text}, account.headers
    ),
)

# Its only resource, `dummy`, is created and listed: no row of it is read by its key or changed.
FASTAPI_TEMPLATE = Peer(
    name="FastAPI-template",
    sign_up=lambda name: Request(
        "POST", "/api/auth/register", {"email": f"{name}@example.com", "password": PASSWORD}
    ),
    sign_in=lambda name: form("/api/auth/jwt/login", f"{name}@example.com"),
    me=lambda account: Request("GET", "/api/users/me", headers=account.headers),
    create=lambda account, text: Request("PUT", "/api/dummy/", {"name": text}, account.headers),
    page=lambda account: Request("GET", "/api/dummy/?limit=20", headers=account.headers),
    table="dummy_model",
    column="name",
    page_table="dummy_model",
    trivial=Request("GET", "/api/health"),
)

PEERS = {
    "fastapi/full-stack-fastapi-template": FULL_STACK,
    "benavlabs/FastAPI-boilerplate": BOILERPLATE,
    "s3rius/FastAPI-template": FASTAPI_TEMPLATE,
}
