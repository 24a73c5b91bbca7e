"""The documentation comes from this service alone, under a strict policy, and only where it is wanted."""

import re
from collections.abc import Callable

import httpx
import pytest
from fastapi import FastAPI

from tests.conftest import http_client

PAGES = ("/docs", "/docs/documentation.js", "/docs/swagger-ui.css", "/openapi.json")


async def test_page_loads_files_of_this_service_that_are_there(
    anonymous: httpx.AsyncClient,
) -> None:
    page = await anonymous.get("/docs")
    named = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    types = {}
    for name in named:
        file = await anonymous.get(f"/{name}")
        assert file.status_code == 200
        types[name] = file.headers["content-type"]

    assert types == {
        "docs/favicon-32x32.png": "image/png",
        "docs/swagger-ui.css": "text/css",
        "docs/swagger-ui-bundle.js": "text/javascript",
        "docs/documentation.js": "text/javascript",
    }
    assert not re.search(r"<script(?![^>]* src=)|<style|\bon\w+=|style=|//", page.text)


async def test_page_may_load_and_call_this_service_only(anonymous: httpx.AsyncClient) -> None:
    policy = (await anonymous.get("/docs")).headers["content-security-policy"]
    directives = {one.split()[0]: one.split()[1:] for one in policy.split(";")}

    assert directives["default-src"] == ["'none'"]
    for name in ("script-src", "style-src", "connect-src"):
        assert directives[name] == ["'self'"]
    assert "unsafe" not in policy


async def test_files_are_sent_once(anonymous: httpx.AsyncClient) -> None:
    first = await anonymous.get("/docs/swagger-ui.css")
    again = await anonymous.get(
        "/docs/swagger-ui.css", headers={"If-None-Match": first.headers["etag"]}
    )

    assert first.headers["cache-control"] == "no-cache"
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("wanted", ["bytes=abc", "bytes=999999999-", "bytes=0-9"])
async def test_files_are_sent_whole(anonymous: httpx.AsyncClient, wanted: str) -> None:
    whole = await anonymous.get("/docs/swagger-ui.css")
    response = await anonymous.get("/docs/swagger-ui.css", headers={"Range": wanted})

    assert (response.status_code, response.content) == (200, whole.content)
    assert response.headers["accept-ranges"] == "none"


@pytest.mark.parametrize("path", PAGES[1:])
async def test_files_have_the_policy_of_data(anonymous: httpx.AsyncClient, path: str) -> None:
    policy = (await anonymous.get(path)).headers["content-security-policy"]

    assert policy == "default-src 'none'; frame-ancestors 'none'"


@pytest.mark.parametrize("name", ["__init__.py", "documentation.py", "..%2Fopenapi.py", "%00"])
async def test_other_files_are_not_served(anonymous: httpx.AsyncClient, name: str) -> None:
    response = await anonymous.get(f"/docs/{name}")

    assert (response.status_code, response.json()["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("development", "docs", "is_served"),
    [
        (True, None, True),
        (False, None, False),
        (False, True, True),
        (True, False, False),
    ],
)
async def test_documentation_is_off_in_production_unless_it_is_asked_for(
    app_with: Callable[..., FastAPI], development: bool, docs: bool | None, is_served: bool
) -> None:
    async with http_client(app_with(development=development, docs=docs)) as client:
        responses = [await client.get(path) for path in PAGES]
        start = (await client.get("/")).json()

    assert {response.status_code for response in responses} == {200 if is_served else 404}
    assert ({"docs", "openapi"} <= start.keys()) == is_served
    if not is_served:
        assert {response.json()["code"] for response in responses} == {"NOT_FOUND"}
        assert not {"docs", "openapi"} & start.keys()


def test_files_of_swagger_ui_are_not_looked_for_where_it_is_off(
    app_with: Callable[..., FastAPI], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.core.http.documentation.StaticFiles", None)

    app_with(docs=False, max_query_bytes=8191)
    with pytest.raises(TypeError):
        app_with(docs=True, max_query_bytes=8191)
