"""The pages that links of mails open in development."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import FastAPI

from app.core.config import Settings
from app.core.mail import link_pages
from tests.conftest import http_client
from tests.endpoints import routes

PATHS = ("/verify-email", "/password-reset", "/register")


@pytest.mark.parametrize("path", PATHS)
async def test_link_of_a_printed_mail_opens_a_page(
    app_with: Callable[..., FastAPI], path: str
) -> None:
    app = app_with(mail_delivery="console", api_prefix="/api")
    async with http_client(app) as client:
        response = await client.get(path)

    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert "script-src 'unsafe-inline'" in response.headers["content-security-policy"]
    assert "/api/auth/password-reset/confirm" in response.text


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("delivery", ["none", "smtp"])
async def test_pages_are_for_development_only(
    app_with: Callable[..., FastAPI], path: str, delivery: str
) -> None:
    async with http_client(app_with(mail_delivery=delivery)) as client:
        assert (await client.get(path)).status_code == 404


HTML = Path(link_pages.__file__).with_suffix(".html").read_text(encoding="utf-8")


def test_pages_send_to_routes_that_exist(app: FastAPI, settings: Settings) -> None:
    called = {part.partition('"')[0] for part in HTML.split("$api_prefix")[1:]}

    assert len(called) == len(PATHS)
    assert {f"POST {settings.api_prefix}{path}" for path in called} <= routes(app).keys()


def test_pages_ask_for_what_their_routes_require(app: FastAPI) -> None:
    """The token of the link, and the fields of the form."""
    document = app.openapi()
    pages = re.findall(r'url: "\$api_prefix(.+?)", token: "(\w+)", fields: (\[.*?\])', HTML)

    assert len(pages) == len(PATHS)
    for path, token, fields in pages:
        content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        name = content["schema"]["$ref"].rpartition("/")[2]
        body = document["components"]["schemas"][name]
        sent = {token, *json.loads(fields)}
        assert set(body["required"]) <= sent <= set(body["properties"])
