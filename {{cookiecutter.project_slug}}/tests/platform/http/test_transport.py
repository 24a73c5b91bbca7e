import asyncio
import re
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from functools import cache, partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from click.testing import CliRunner
from fastapi import APIRouter, FastAPI, Request, Response
from starlette.staticfiles import StaticFiles

from tests.conftest import http_client

PROJECT = Path(__file__).parents[3]


router = APIRouter(prefix="/more")


@router.get("/caller")
async def caller(request: Request) -> str:
    return request.client.host if request.client else ""


@router.get("/bug")
async def bug() -> None:
    raise ZeroDivisionError


@router.get("/own")
async def own(response: Response, seconds: int = 5) -> None:
    response.headers["Cache-Control"] = f"private, max-age={seconds}"
    response.headers["Content-Security-Policy"] = "default-src 'self'"


@router.get("/cookie")
async def cookie(response: Response) -> None:
    response.set_cookie("name", "value")


Serve = Callable[..., httpx.AsyncClient]


@pytest.fixture(scope="session")
def app_with_more_routes(app_with_routers: Callable[..., FastAPI]) -> Callable[..., FastAPI]:
    return cache(partial(app_with_routers, router))


@pytest.fixture
def serve(app_with_more_routes: Callable[..., FastAPI]) -> Serve:
    """Return a client of an app with other settings and additional routes."""

    def make_client(peer: str = "192.0.2.1", **changes: object) -> httpx.AsyncClient:
        return http_client(app_with_more_routes(**changes), address=peer, raises=False)

    return make_client


@pytest.fixture
async def plain(serve: Serve) -> AsyncGenerator[httpx.AsyncClient]:
    async with serve() as client:
        yield client


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/more/caller", 200),
        ("/nowhere", 404),
        (f"/more/caller?{'&' * 9000}", 414),
        ("/more/own?seconds=x", 422),
        ("/more/bug", 500),
    ],
)
async def test_every_response_has_the_headers(
    plain: httpx.AsyncClient, path: str, status: int
) -> None:
    response = await plain.get(path)

    assert response.status_code == status
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["x-frame-options"] == "DENY"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["content-security-policy"] == (
        "default-src 'none'; frame-ancestors 'none'"
    )


async def test_responses_about_a_caller_are_not_stored(plain: httpx.AsyncClient) -> None:
    for path in ("/more/caller", "/nowhere", "/more/bug"):
        known = await plain.get(path, headers={"Authorization": "nonsense"})
        unknown = await plain.get(path)

        assert known.headers["cache-control"] == "no-store"
        assert "cache-control" not in unknown.headers


async def test_responses_to_writes_and_those_that_set_a_cookie_are_not_stored(serve: Serve) -> None:
    async with serve() as client:
        responses = [await client.post("/more/own"), await client.get("/more/cookie")]

    assert [response.headers["cache-control"] for response in responses] == ["no-store"] * 2


async def test_headers_set_by_a_route_stay(plain: httpx.AsyncClient) -> None:
    response = await plain.get("/more/own", headers={"Authorization": "x"})

    assert response.headers.get_list("cache-control") == ["private, max-age=5"]
    assert response.headers.get_list("content-security-policy") == ["default-src 'self'"]


async def test_https_is_insisted_on_over_https_alone(plain: httpx.AsyncClient) -> None:
    assert "strict-transport-security" not in (await plain.get("/more/caller")).headers
    secure = await plain.get("https://test/more/caller")
    assert secure.headers["strict-transport-security"] == "max-age=31536000"


async def test_https_is_insisted_on_for_subdomains_if_wanted(serve: Serve) -> None:
    async with serve(hsts_include_subdomains=True) as client:
        response = await client.get("https://test/more/caller")

    assert response.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("api.example.com", 200),
        ("API.EXAMPLE.COM:8000", 200),
        ("api.example.com.", 200),
        ("a.b.example.org", 200),
        ("[::1]:8000", 200),
        ("example.org", 400),
        ("example.com", 400),
        ("notexample.org", 400),
        ("api.example.com.evil.example", 400),
        ("evil.example/api.example.com", 400),
        ("api.example.com@evil.example", 400),
        ("evil.example#.example.org", 400),
        ("api.example.com evil", 400),
        ("", 400),
    ],
)
async def test_host_that_is_not_ours_is_refused(serve: Serve, host: str, status: int) -> None:
    hosts = ("api.example.com", "*.example.org", "[::1]")
    async with serve(allowed_hosts=hosts) as client:
        response = await client.get("/more/caller", headers={"Host": host})
        probe = await client.get("/health/live", headers={"Host": "10.1.2.3:8000"})

    assert response.status_code == status
    assert status == 200 or response.json()["code"] == "BAD_REQUEST"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert probe.status_code == 200


async def test_two_hosts_are_refused(serve: Serve) -> None:
    async with serve(allowed_hosts=("api.example.com",)) as client:
        headers = [("Host", "api.example.com"), ("Host", "evil.example")]
        response = await client.get("/more/caller", headers=headers)

    assert response.status_code == 400


PREFLIGHT = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "PATCH"}


async def test_pages_of_a_mounted_app_may_load_what_they_name(
    app_with_routers: Callable[..., FastAPI], tmp_path: Path
) -> None:
    (tmp_path / "page.html").write_text("<script src='page.js'></script>")
    app = app_with_routers()
    app.mount("/pages", StaticFiles(directory=tmp_path))
    async with http_client(app) as client:
        page, data = await client.get("/pages/page.html"), await client.get("/health/live")

    assert "default-src" not in page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert "default-src 'none'" in data.headers["content-security-policy"]


async def test_pages_of_other_origins_are_shut_out_by_default(plain: httpx.AsyncClient) -> None:
    preflight = await plain.options("/more/caller", headers=PREFLIGHT)
    simple = await plain.get("/more/caller", headers={"Origin": "https://app.example.com"})

    assert preflight.status_code == 405
    for response in (preflight, simple):
        assert not [name for name in response.headers if name.startswith("access-control")]


async def test_pages_of_an_origin_that_is_named_may_call(serve: Serve) -> None:
    origins = ("https://app.example.com",)
    async with serve(cors_origins=origins) as client:
        wanted = {"Access-Control-Request-Headers": "authorization,content-type,if-match"}
        preflight = await client.options("/more/caller", headers=PREFLIGHT | wanted)
        bug = await client.get("/more/bug", headers={"Origin": "https://app.example.com"})
        other = await client.get("/more/caller", headers={"Origin": "https://evil.example"})

    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://app.example.com"
    assert "access-control-allow-credentials" not in preflight.headers
    assert bug.status_code == 500  # the web page can read the error
    assert bug.headers["access-control-allow-origin"] == "https://app.example.com"
    assert "ETag" in bug.headers["access-control-expose-headers"]
    assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
async def test_pages_may_send_what_common_clients_add(serve: Serve, method: str) -> None:
    wanted = (
        "authorization,content-type,cache-control,idempotency-key,if-match,if-none-match,"
        "x-request-id,x-requested-with,traceparent,tracestate,baggage,sentry-trace"
    )
    async with serve(cors_origins=("https://app.example.com",)) as client:
        preflight = await client.options(
            "/more/caller",
            headers={
                "Origin": "https://app.example.com",
                "Access-Control-Request-Method": method,
                "Access-Control-Request-Headers": wanted,
            },
        )

    assert preflight.status_code == 200


async def test_what_pages_may_send_and_read_is_a_setting(serve: Serve) -> None:
    settings = {
        "cors_origins": ("https://app.example.com",),
        "cors_methods": ("GET",),
        "cors_headers": ("x-tenant",),
        "cors_exposed_headers": ("X-Total-Count",),
    }
    async with serve(**settings) as client:
        origin = {"Origin": "https://app.example.com"}
        responses = [
            await client.options(
                "/more/caller",
                headers=origin
                | {"Access-Control-Request-Method": m, "Access-Control-Request-Headers": header},
            )
            for m, header in [("GET", "x-tenant"), ("POST", "x-tenant"), ("GET", "x-other")]
        ]
        simple = await client.get("/more/caller", headers=origin)

    assert [response.status_code for response in responses] == [200, 400, 400]
    assert simple.headers["access-control-expose-headers"] == "X-Total-Count"


async def test_refused_preflight_is_a_problem_that_names_the_settings(serve: Serve) -> None:
    async with serve(cors_origins=("https://app.example.com",)) as client:
        wanted = {"Access-Control-Request-Headers": "x-other"}
        response = await client.options("/more/caller", headers=PREFLIGHT | wanted)

    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["access-control-allow-origin"] == "https://app.example.com"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.json()["detail"].startswith("Disallowed CORS headers; see CORS_ORIGINS")
    assert response.json()["instance"] == "/more/caller"


FORWARDED = {"X-Forwarded-For": "198.51.100.9, 203.0.113.5", "X-Forwarded-Proto": "https"}


async def test_proxy_is_believed_only_if_it_is_named(serve: Serve) -> None:
    networks = (ip_network("10.0.0.0/8"),)
    async with serve(peer="10.1.2.3") as client:
        unnamed = await client.get("/more/caller", headers=FORWARDED)
    async with serve(peer="10.1.2.3", trusted_proxies=networks) as client:
        named = await client.get("/more/caller", headers=FORWARDED)
    async with serve(peer="::ffff:10.1.2.3", trusted_proxies=networks) as client:
        mapped = await client.get("/more/caller", headers=FORWARDED)
    async with serve(peer="11.1.2.3", trusted_proxies=networks) as client:
        stranger = await client.get("/more/caller", headers=FORWARDED)

    assert [response.json() for response in (unnamed, named, mapped, stranger)] == [
        "10.1.2.3",
        "203.0.113.5",  # the last one, which the proxy itself added
        "203.0.113.5",
        "11.1.2.3",
    ]
    assert "strict-transport-security" in named.headers
    assert "strict-transport-security" not in stranger.headers


def test_image_tells_uvicorn_to_believe_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    dockerfile = (PROJECT / "Dockerfile").read_text()
    (value,) = re.findall(r"^ENV UVICORN_PROXY_HEADERS=(.+)$", dockerfile, re.MULTILINE)
    given: dict[str, Any] = {}
    module = sys.modules[uvicorn.run.__module__]  # `uvicorn.main` is the command
    monkeypatch.setattr(module, "run", lambda _app, **options: given.update(options))

    CliRunner().invoke(uvicorn.main, ["app.asgi:app"], env={"UVICORN_PROXY_HEADERS": value})

    assert given["proxy_headers"] is False


@pytest.mark.parametrize(("size", "status"), [(1000, 404), (20_000, 400)])
async def test_image_limits_headers_where_uvicorn_can(size: int, status: int) -> None:
    """With h11, and headers that do not arrive at once: it parses what it has read before it looks."""
    dockerfile = (PROJECT / "Dockerfile").read_text()
    (limit,) = re.findall(r"^ENV UVICORN_H11_MAX_INCOMPLETE_EVENT_SIZE=(.+)$", dockerfile, re.M)
    config = uvicorn.Config(
        FastAPI(),
        http="h11",
        h11_max_incomplete_event_size=int(limit),
        lifespan="off",
        port=0,
        log_config=None,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    reader, writer = await asyncio.open_connection(*server.servers[0].sockets[0].getsockname()[:2])
    writer.write(b"GET / HTTP/1.1\r\nHost: test\r\nX-Long: " + b"x" * size)
    await asyncio.sleep(0.1)
    with suppress(ConnectionError):
        writer.write(b"\r\nConnection: close\r\n\r\n")
        line = await reader.readline()
    writer.close()
    server.should_exit = True
    await serving

    assert line.split()[1] == b"%d" % status


async def test_forwarded_address_of_a_stranger_is_logged_once(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    forwarded = {"X-Forwarded-For": "203.0.113.9"}
    trusted = (ip_network("192.0.2.0/24"),)  # with the limit below, an app of this test alone
    async with serve(trusted_proxies=trusted, max_query_bytes=1000) as proxy:
        assert (await proxy.get("/more/caller", headers=forwarded)).json() == "203.0.113.9"
        by_two_proxies = [*forwarded.items(), ("X-Forwarded-For", "192.0.2.7")]
        assert (await proxy.get("/more/caller", headers=by_two_proxies)).json() == "203.0.113.9"
    assert caplog.messages == []

    async with serve("198.51.100.1", trusted_proxies=trusted, max_query_bytes=1000) as stranger:
        await stranger.get("/more/caller")
        assert caplog.messages == []
        for path in ("/more/caller", "/more/bug", "/more/bug"):
            await stranger.get(path, headers=forwarded)
    warnings = [r.getMessage() for r in caplog.records if r.name.endswith("http.hosts")]
    assert warnings == [
        "X-Forwarded-For is ignored, because 198.51.100.1 is not in TRUSTED_PROXIES (logged once)"
    ]
