"""GET routes respond to HEAD with the same headers and no body (RFC 9110, section 9.3.2)."""

from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Response
from fastapi.responses import StreamingResponse
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.staticfiles import StaticFiles

from tests.conftest import http_client
from tests.factories import Factory
from tests.platform.probe import make_probe


@pytest.mark.parametrize(
    "path",
    [
        "/probes",
        "/probes?limit=1",
        "/probes/{id}",
        "/probes/0",
        "/probes?limit=0",
        "/health/live",
        "/openapi.json",
        "/docs",
        "/nowhere",
    ],
)
async def test_head_has_the_headers_of_get(
    probes: httpx.AsyncClient, make: Factory, path: str
) -> None:
    ids = [(await make_probe(make)).id for _ in range(2)]
    path = path.format(id=ids[0])
    same_id = {"X-Request-ID": "the-same"}
    get = await probes.get(path, headers=same_id)

    head = await probes.head(path, headers=same_id)

    assert head.status_code == get.status_code
    assert head.headers == get.headers
    assert int(head.headers["content-length"]) > 0
    assert head.content == b""


async def test_headers_of_resource_and_list_are_those_that_get_has(
    probes: httpx.AsyncClient, make: Factory
) -> None:
    probe, _ = [await make_probe(make) for _ in range(2)]
    one = await probes.head(f"/probes/{probe.id}")
    some = await probes.head("/probes?limit=1")
    unchanged = await probes.head(
        f"/probes/{probe.id}", headers={"If-None-Match": one.headers["etag"]}
    )

    assert one.headers["etag"] == '"1"'
    assert 'rel="next"' in some.headers["link"]
    assert (unchanged.status_code, unchanged.headers["etag"]) == (304, '"1"')


async def test_route_that_declares_head_gets_it(app_with_routers: Callable[..., FastAPI]) -> None:
    router = APIRouter()

    @router.get("/things")
    async def things() -> str:
        return "things"

    @router.head("/things")
    async def count_things(response: Response) -> None:
        response.headers["X-Total-Count"] = "7"

    async with http_client(app_with_routers(router)) as client:
        head, get = await client.head("/things"), await client.get("/things")

    assert head.headers["x-total-count"] == "7"
    assert "x-total-count" not in get.headers


async def test_endless_stream_ends(app_with_routers: Callable[..., FastAPI]) -> None:
    router = APIRouter()

    @router.get("/ticks")
    async def ticks() -> StreamingResponse:
        async def lines() -> AsyncGenerator[str]:
            while True:
                yield "tick\n"

        return StreamingResponse(lines(), media_type="text/plain")

    async with http_client(app_with_routers(router)) as client:
        response = await client.head("/ticks")

    assert (response.status_code, response.content) == (200, b"")


async def test_route_that_only_writes_refuses_head(
    app_with_routers: Callable[..., FastAPI],
) -> None:
    router = APIRouter()

    @router.post("/orders")
    async def order() -> None: ...

    async with http_client(app_with_routers(router)) as client:
        response = await client.head("/orders")

    assert (response.status_code, response.headers["allow"]) == (405, "POST")


async def test_head_of_get_is_found_before_files_that_are_mounted_at_the_root(
    app_with_routers: Callable[..., FastAPI], tmp_path: Path
) -> None:
    (tmp_path / "logo.svg").write_text("<svg/>")
    app = app_with_routers()
    app.mount("/", StaticFiles(directory=tmp_path))
    async with http_client(app) as client:
        live, logo = await client.head("/health/live"), await client.head("/logo.svg")
        refused = await client.post("/logo.svg")

    assert (live.status_code, live.headers["content-type"]) == (200, "application/json")
    assert (logo.status_code, logo.headers["content-length"]) == (200, "6")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")


def test_head_is_not_shown_in_the_document(probe_app: FastAPI) -> None:
    methods = {method for path in probe_app.openapi()["paths"].values() for method in path}

    assert "get" in methods
    assert "head" not in methods


def test_pages_of_other_origins_may_use_every_method(probe_app: FastAPI) -> None:
    """CORS_METHODS by default holds what `Allow` may hold."""
    routes = iter_route_contexts(probe_app.routes)
    used = {
        method
        for route in routes
        if isinstance(route.original_route, APIRoute)
        for method in route.methods or ()
    }

    assert used | {"HEAD"} <= set(probe_app.state.settings.cors_methods)
