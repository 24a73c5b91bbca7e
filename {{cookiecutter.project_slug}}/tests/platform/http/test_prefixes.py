"""Every path and URL that the service makes or compares, with and without a prefix before it.

A proxy strips the prefix, or does not, and tells the server of it (`root_path`); or the app is mounted
in another one.
"""

import json
import re
from collections.abc import AsyncGenerator, Callable
from typing import Final, NamedTuple

import httpx
import pytest
from fastapi import FastAPI

from app.core.database import Database
from app.core.http.paths import public_path, route_path
from tests.conftest import http_client
from tests.factories import Factory
from tests.platform.probe import make_probe

PREFIX: Final = "/svc"
HOST: Final = "api.example.com"


class Outside(NamedTuple):
    """The service as its clients see it, under `prefix`."""

    client: httpx.AsyncClient
    prefix: str
    sent: str  # before the path, by the client of the test


@pytest.fixture(params=["bare", "stripped", "kept", "mounted"])
async def outside(
    request: pytest.FixtureRequest,
    probe_app_with: Callable[..., FastAPI],
    database: Database,
    admin_headers: dict[str, str],
) -> AsyncGenerator[Outside]:
    app = probe_app_with(allowed_hosts=(HOST,))
    app.state.database = database
    kind = request.param
    served = FastAPI()
    served.mount(PREFIX, app)
    transport = httpx.ASGITransport(
        served if kind == "mounted" else app,
        root_path=PREFIX if kind in {"stripped", "kept"} else "",
    )
    headers = admin_headers | {"Host": HOST}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://test", headers=headers
    ) as client:
        sent = PREFIX if kind in {"kept", "mounted"} else ""
        yield Outside(client, "" if kind == "bare" else PREFIX, sent)


async def test_location_link_and_instance_name_what_the_client_sees(
    outside: Outside, make: Factory
) -> None:
    client, prefix, sent = outside
    owner = (await make_probe(make)).owner_id
    created = await client.post(f"{sent}/probes", json={"owner_id": owner, "name": "Name"})
    page = await client.get(f"{sent}/probes?limit=1")
    missing = await client.get(f"{sent}/probes/0")
    refused = await client.put(f"{sent}/probes")
    unknown = await client.get(f"{sent}/nowhere")

    assert created.headers["location"] == f"{prefix}/probes/{created.json()['id']}"
    assert page.headers["link"].startswith(f"<{prefix}/probes?limit=1&cursor=")
    assert missing.json()["instance"] == f"{prefix}/probes/0"
    assert refused.headers["allow"] == "GET, HEAD, POST"
    assert unknown.json()["instance"] == f"{prefix}/nowhere"


async def test_probes_of_orchestrators_may_name_any_host(outside: Outside) -> None:
    client, _, sent = outside
    live = await client.get(f"{sent}/health/live", headers={"Host": "10.1.2.3:8000"})
    other = await client.get(f"{sent}/probes", headers={"Host": "10.1.2.3:8000"})

    assert (live.status_code, other.status_code) == (200, 400)


async def test_documentation_finds_its_document_under_its_own_policy(outside: Outside) -> None:
    client, prefix, sent = outside
    page = await client.get(f"{sent}/docs")
    document = (await client.get(f"{sent}/openapi.json")).json()
    schemes = document["components"].get("securitySchemes", {})  # if the variant has any

    assert page.headers["content-security-policy"].startswith("default-src 'none'; script-src")
    for url in re.findall(r'(?:src|href)="([^"]+)"', page.text):  # relative to the page
        assert (await client.get(f"{sent}/{url}")).status_code == 200
    assert document["servers"] == [{"url": prefix or "/"}]
    for url in re.findall(r'Url": "([^"]+)"', json.dumps(schemes)):
        assert re.fullmatch(rf"{prefix}/\w+/\w+", url)


async def test_head_gets_a_response(outside: Outside) -> None:
    assert (await outside.client.head(f"{outside.sent}/probes")).status_code == 200


@pytest.mark.parametrize(
    ("root_path", "path", "inside", "seen"),
    [
        ("", "/users", "/users", "/users"),
        ("/svc", "/users", "/users", "/svc/users"),
        ("/svc", "/svc/users", "/users", "/svc/users"),
        ("/svc/", "/svc/users", "/users", "/svc/users"),
        ("/svc/", "/svc//users", "/users", "/svc/users"),  # as Uvicorn has it
        ("/svc", "/svcs", "/svcs", "/svc/svcs"),
        ("/svc", "/svc", "", "/svc"),
        ("/svc/", "/svc", "", "/svc"),
        ("/svc", "/svc/", "/", "/svc/"),
        ("/svc/", "/svc/", "/", "/svc/"),
    ],
)
def test_prefix_is_neither_lost_nor_doubled(
    root_path: str, path: str, inside: str, seen: str
) -> None:
    scope = {"type": "http", "path": path, "root_path": root_path}

    assert (route_path(scope), public_path(scope)) == (inside, seen)


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
async def test_prefix_that_the_proxy_keeps_is_a_setting(
    probe_app_with: Callable[..., FastAPI], database: Database, make: Factory, prefix: str
) -> None:
    app = probe_app_with(api_prefix=prefix)
    app.state.database = database
    probe = await make_probe(make)
    async with http_client(app) as client:
        read = await client.get(f"{prefix}/probes/{probe.id}")
        page = await client.get(f"{prefix}/probes?limit=0")

    assert read.status_code == 200
    assert page.json()["instance"] == f"{prefix}/probes"
