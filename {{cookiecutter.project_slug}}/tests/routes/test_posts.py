from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.pagination import encode_cursor
from app.models.post import Post
from app.models.user import User
from app.services.post_service import PostService
from tests.endpoints import OPEN, OWNER, Endpoint
from tests.factories import Factory
from tests.post_factory import make_post


async def make_author(make: Factory, owner: User) -> User:
    await make_post(make, owner)
    return owner


PATH_PARAMETERS = {"post_id": make_post, "author_id": make_author}

NEW_POST = {"author_id": "{user_id}", "title": "Title", "body": "Body"}

ENDPOINTS = [
    # The second statement queues the announcement.
    Endpoint("POST /posts", OWNER, statements=2, status=201, json=NEW_POST),
    Endpoint("GET /posts", OPEN, statements=1),
    Endpoint("GET /posts", OPEN, statements=2, query="author_id={author_id}&include=author"),
    Endpoint("GET /posts", OPEN, statements=1, query="author_id={author_id}&q=text"),
    Endpoint("GET /posts/{post_id}", OPEN, statements=1),
    Endpoint("PATCH /posts/{post_id}", OWNER, statements=2, json={"title": "Other"}),
    Endpoint("DELETE /posts/{post_id}", OWNER, statements=2, status=204),
]


async def read_all(client: httpx.AsyncClient, url: str) -> list[Any]:
    """Follow the links from page to page."""
    items = []
    next_url: str | None = url
    while next_url:
        response = await client.get(next_url)
        assert response.status_code == 200, response.text
        items += response.json()["items"]
        next_url = response.links["next"]["url"] if "next" in response.links else None
    return items


async def test_summaries_have_no_body(client: httpx.AsyncClient, make: Factory) -> None:
    post = await make_post(make, await make.user(), body="Long text")

    response = await client.get("/posts?view=summary&include=author&q=long&limit=1")

    (item,) = response.json()["items"]
    likes = {"like_count", "liked_by_me"}
    assert item.keys() == {"id", "author_id", "title", "created_at", "updated_at"} | likes
    assert item["id"] == post.id


async def test_body_of_a_summary_is_not_read(session: AsyncSession, make: Factory) -> None:
    await make_post(make, await make.user())
    session.expunge_all()

    page = await PostService(session).list_posts(
        sort="title", limit=1, cursor=None, author_id=None, text=None, with_body=False
    )

    with pytest.raises(InvalidRequestError, match="raiseload"):
        _ = page.items[0].post.body


async def test_created_post_is_returned_with_its_location(
    client: httpx.AsyncClient, make: Factory
) -> None:
    author = await make.user()

    response = await client.post(
        "/posts", json={"author_id": author.id, "title": "Hello", "body": "World"}
    )

    assert response.status_code == 201
    post = response.json()
    assert response.headers["location"] == f"/posts/{post['id']}"
    read = await client.get(response.headers["location"])
    assert read.json() == post | {"like_count": 0, "liked_by_me": False}
    assert read.headers["etag"] == response.headers["etag"]


async def test_text_of_a_post_is_kept_to_the_last_blank(
    client: httpx.AsyncClient, make: Factory
) -> None:
    author = await make.user()
    body = "    indented = True\n"

    response = await client.post(
        "/posts", json={"author_id": author.id, "title": " Code ", "body": body}
    )

    assert response.json()["title"] == "Code"
    assert response.json()["body"] == body


@pytest.mark.parametrize("title", ["x\nINFO:     app.users: deleted", "\x1b[2K", "eltit \u202e"])
async def test_title_is_one_line_without_hidden_characters(
    client: httpx.AsyncClient, make: Factory, title: str
) -> None:
    author = await make.user()
    new = {"author_id": author.id, "title": title, "body": "any\nbody"}

    response = await client.post("/posts", json=new)
    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"] == ["body", "title"]


@pytest.mark.parametrize(("words", "minutes"), [(1, 1), (200, 1), (299, 1), (301, 2), (1000, 5)])
async def test_reading_time_is_computed(
    client: httpx.AsyncClient, make: Factory, words: int, minutes: int
) -> None:
    post = await make_post(make, body="word " * words)

    assert (await client.get(f"/posts/{post.id}")).json()["reading_minutes"] == minutes


async def test_blank_title_is_refused_by_a_sentence(
    client: httpx.AsyncClient, make: Factory
) -> None:
    author = await make.user()

    response = await client.post(
        "/posts", json={"author_id": author.id, "title": "  ", "body": "World"}
    )

    (error,) = response.json()["errors"]
    assert (error["loc"], error["detail"]) == (
        ["body", "title"],
        "Text must have a visible character",
    )


async def test_post_of_an_unknown_author_is_refused(client: httpx.AsyncClient) -> None:
    response = await client.post(
        "/posts", json={"author_id": 2**40, "title": "Hello", "body": "World"}
    )

    assert response.status_code == 404
    assert response.json()["detail"] == f"Author {2**40} not found"


async def test_patch_changes_only_what_it_names(client: httpx.AsyncClient, make: Factory) -> None:
    post = await make_post(make)

    response = await client.patch(f"/posts/{post.id}", json={"title": "After"})

    assert response.status_code == 200
    assert (response.json()["title"], response.json()["body"]) == ("After", post.body)


async def test_author_of_a_post_cannot_be_changed(client: httpx.AsyncClient, make: Factory) -> None:
    post = await make_post(make)

    response = await client.patch(f"/posts/{post.id}", json={"author_id": 1})

    assert response.status_code == 422


async def test_deleted_post_is_gone(
    client: httpx.AsyncClient, make: Factory, session: AsyncSession
) -> None:
    post = await make_post(make)

    response = await client.delete(f"/posts/{post.id}")

    assert (response.status_code, response.content) == (204, b"")
    assert await session.get(Post, post.id) is None


async def test_post_is_gone_with_its_author(
    client: httpx.AsyncClient, make: Factory, session: AsyncSession
) -> None:
    post = await make_post(make)

    await client.delete(f"/users/{post.author_id}")

    assert await session.get(Post, post.id) is None


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
async def test_unknown_post_is_not_found(client: httpx.AsyncClient, method: str) -> None:
    response = await client.request(
        method, f"/posts/{2**40}", json={} if method == "PATCH" else None
    )

    assert response.status_code == 404
    assert response.json()["detail"] == f"Post {2**40} not found"


@pytest.mark.parametrize("sort", ["created_at", "-created_at", "title", "-title"])
async def test_pages_hold_every_post_once_in_order_even_with_equal_values(
    client: httpx.AsyncClient, make: Factory, sort: str
) -> None:
    author = await make.user()
    start = datetime(2026, 1, 1, tzinfo=UTC)
    posts = [
        await make_post(
            make, author, title=f"Title {number % 3}", created_at=start + timedelta(days=number % 2)
        )
        for number in range(10)
    ]
    column = sort.removeprefix("-")
    expected = sorted(
        posts, key=lambda post: (getattr(post, column), post.id), reverse=sort.startswith("-")
    )

    seen = await read_all(client, f"/posts?author_id={author.id}&sort={sort}&limit=3")

    assert [post["id"] for post in seen] == [post.id for post in expected]


async def test_rows_that_come_and_go_do_not_disturb_the_pages(
    client: httpx.AsyncClient, make: Factory
) -> None:
    author = await make.user()
    start = datetime(2026, 1, 1, tzinfo=UTC)
    posts = [
        await make_post(make, author, created_at=start + timedelta(days=number))
        for number in range(4)
    ]
    first = await client.get(f"/posts?author_id={author.id}&limit=2")

    await client.delete(f"/posts/{posts[3].id}")
    await make_post(make, author, created_at=start + timedelta(days=9))
    second = await client.get(first.links["next"]["url"])

    assert [post["id"] for post in first.json()["items"]] == [posts[3].id, posts[2].id]
    assert [post["id"] for post in second.json()["items"]] == [posts[1].id, posts[0].id]
    assert second.json()["next_cursor"] is None


async def test_list_is_newest_first_and_narrowed_to_an_author(
    client: httpx.AsyncClient, make: Factory
) -> None:
    await make_post(make)
    author = await make.user()
    start = datetime(2026, 1, 1, tzinfo=UTC)
    old = await make_post(make, author, created_at=start)
    new = await make_post(make, author, created_at=start + timedelta(seconds=1))

    items = await read_all(client, f"/posts?author_id={author.id}")

    assert [post["id"] for post in items] == [new.id, old.id]


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("NEEDLE", {"title", "body"}),
        ("100%", {"percent"}),
        ("dja_b", {"underscore"}),
        ("djc\\d", {"backslash"}),
        ("absent", set()),
    ],
)
async def test_text_is_found_in_title_and_body_and_taken_literally(
    client: httpx.AsyncClient, make: Factory, q: str, found: set[str]
) -> None:
    author = await make.user()
    ids = {
        (await make_post(make, author, title=title, body=body)).id: name
        for name, title, body in [
            ("title", "A needle", "x"),
            ("body", "x", "The Needle"),
            ("percent", "100% sure", "x"),
            ("number", "100 sure", "x"),
            ("underscore", "dja_b", "x"),
            ("other", "djacb", "x"),
            ("backslash", "djc\\d", "x"),
        ]
    }

    response = await client.get("/posts", params={"author_id": author.id, "q": q})

    assert {ids[post["id"]] for post in response.json()["items"]} == found


@pytest.mark.parametrize(
    ("query", "loc"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("sort=body", "sort"),
        ("author_id=0", "author_id"),
        ("q=", "q"),
        ("q=%00", "q"),
        ("q=aaa%00", "q"),
        (f"q={'x' * 101}", "q"),
        (f"cursor={'x' * 5001}", "cursor"),
    ],
)
async def test_wrong_query_is_refused_with_its_name(
    client: httpx.AsyncClient, query: str, loc: str
) -> None:
    response = await client.get(f"/posts?{query}")

    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"] == ["query", loc]


@pytest.mark.parametrize("q", ["\u201c", "\U0001f600", "\u3000", "\u00a0", "\u0301", "\u00b2"])
async def test_text_without_letters_is_refused(client: httpx.AsyncClient, q: str) -> None:
    """PostgreSQL makes no trigrams of it, and would read the whole table."""
    response = await client.get("/posts", params={"q": q * 3})

    assert response.status_code == 422
    assert response.json()["detail"] == "Search for at least three letters or digits in a row"


@pytest.mark.parametrize("q", ["a", "ab", "a b", "ab-cd", "---", "a_b", "%%%", "  a  "])
async def test_text_that_the_index_cannot_find_is_refused(
    client: httpx.AsyncClient, q: str
) -> None:
    response = await client.get("/posts", params={"q": q})

    assert response.status_code == 422
    (error,) = response.json()["errors"]
    assert error == {
        "loc": ["query", "q"],
        "detail": "Search for at least three letters or digits in a row",
        "code": "text_too_short",
    }


@pytest.mark.parametrize(
    "q",
    [
        "abc",
        "a-100",
        "gr\u00fc\u00df",
        "\u6771\u4eac\u90fd",
        "\u0939\u093f\u0928\u094d\u0926\u0940",
    ],
)
async def test_text_of_three_letters_is_searched(client: httpx.AsyncClient, q: str) -> None:
    assert (await client.get("/posts", params={"q": q})).status_code == 200


async def test_cursor_of_another_order_is_refused(client: httpx.AsyncClient, make: Factory) -> None:
    author = await make.user()
    for _ in range(2):
        await make_post(make, author)
    cursor = (await client.get("/posts?sort=title&limit=1")).json()["next_cursor"]

    response = await client.get(f"/posts?sort=-title&limit=1&cursor={cursor}")

    assert response.status_code == 422
    assert "for the order 'title', not '-title'" in response.json()["detail"]


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
async def test_cursor_of_an_impossible_moment_is_refused(
    client: httpx.AsyncClient, moment: str
) -> None:
    cursor = encode_cursor("-created_at", moment, 1)

    response = await client.get("/posts", params={"cursor": cursor})

    assert response.status_code == 422


async def test_link_keeps_the_other_parameters(client: httpx.AsyncClient, make: Factory) -> None:
    author = await make.user()
    for _ in range(2):
        await make_post(make, author, title="abc d")

    response = await client.get("/posts", params={"q": "abc d", "sort": "title", "limit": 1})

    url = httpx.URL(response.links["next"]["url"])
    assert url.is_relative_url
    assert dict(url.params) == {
        "q": "abc d",
        "sort": "title",
        "limit": "1",
        "cursor": response.json()["next_cursor"],
    }
