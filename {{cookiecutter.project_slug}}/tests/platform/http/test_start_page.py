import re
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256

import httpx
import pytest
from fastapi import FastAPI

from app.core.config import Settings
from app.main import create_app
from tests.conftest import http_client

BROWSER = {"Accept": "text/html,*/*;q=0.8"}


async def test_developer_sees_the_next_steps(anonymous: httpx.AsyncClient, app: FastAPI) -> None:
    page = await anonymous.get("/", headers=BROWSER)

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert app.version in page.text
    links = re.findall(r'<a href="([^"]+)">', page.text)
    assert {"/docs", "/openapi.json", "/health/ready"} <= {*links}
    for link in links:
        assert (await anonymous.get(link)).status_code == 200
    assert "uv run pytest" in page.text


async def test_page_runs_and_loads_nothing(anonymous: httpx.AsyncClient) -> None:
    page = await anonymous.get("/", headers=BROWSER)
    policy = page.headers["content-security-policy"]
    (style,) = re.findall(r"<style>(.*?)</style>", page.text, re.DOTALL)

    assert policy.startswith("default-src 'none'; ")
    assert f"'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'" in policy
    assert not re.search(r"<script|unsafe| on\w+=", policy + page.text)


async def test_program_is_told_the_same(anonymous: httpx.AsyncClient, app: FastAPI) -> None:
    response = await anonymous.get("/")

    found = {"docs": "/docs", "openapi": "/openapi.json", "health": "/health/ready"}
    assert response.json().items() >= (found | {"version": app.version}).items()
    assert response.headers["vary"] == "Accept"
    assert (await anonymous.head("/")).status_code == 200


@pytest.mark.parametrize(
    ("accept", "is_page"),
    [
        (["text/html;q=0, application/json"], False),
        (["text/html ; Q=0.000"], False),
        (["text/html;charset=utf-8;q=0;x=1, */*"], False),
        (["text/html;q=0.1"], True),
        (["application/json", "Text/HTML"], True),
    ],
)
async def test_page_is_for_those_who_accept_it(
    anonymous: httpx.AsyncClient, accept: list[str], is_page: bool
) -> None:
    response = await anonymous.get("/", headers=[("Accept", one) for one in accept])

    assert response.headers["content-type"].startswith("text/html") == is_page


async def test_outside_development_there_is_no_page(app_with: Callable[..., FastAPI]) -> None:
    async with http_client(app_with(development=False, docs=True)) as client:
        response = await client.get("/", headers=BROWSER)

    assert response.json()["docs"] == "/docs"


async def test_texts_of_the_project_are_no_html(
    app_with_routers: Callable[..., FastAPI], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.main.__title__", 'A & <b>"B"</b> $title')
    monkeypatch.setattr("app.main.__description__", "<script>")
    async with http_client(app_with_routers()) as client:
        pages = [(await client.get(path, headers=BROWSER)).text for path in ("/", "/docs")]

    for text in pages:
        assert "<title>A &amp; &lt;b&gt;&quot;B&quot;&lt;/b&gt; $title</title>" in text
    assert "&lt;script&gt;" in pages[0]


@pytest.mark.parametrize(("metrics", "link"), [("off", None), ("on", "/metrics"), ("9464", None)])
async def test_metrics_are_linked_where_they_are_served(
    settings: Settings, metrics: str, link: str | None
) -> None:
    app = create_app(settings.model_copy(update={"metrics": metrics}))
    async with http_client(app) as client:
        assert (await client.get("/")).json().get("metrics") == link


@pytest.mark.parametrize("accept", ["text/html", "*/*"])
@pytest.mark.parametrize(("root_path", "path"), [("/shop", "/shop/"), ("/shop/", "/")])
async def test_paths_are_those_behind_a_proxy(
    app: FastAPI, accept: str, root_path: str, path: str
) -> None:
    transport = httpx.ASGITransport(app, root_path=root_path)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        response = await client.get(path, headers={"Accept": accept})

    assert '"/shop/docs"' in response.text
