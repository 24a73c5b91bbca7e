"""Who calls is whom the gateway names, if a trusted proxy says so."""

from collections.abc import Callable
from ipaddress import ip_network
from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request

from app.core.http.gateway import GatewayCaller
from app.dependencies.caller_without_auth import get_caller, identify_caller, install_caller
from tests.conftest import http_client

router = APIRouter()


@router.get("/caller")
async def read_caller(
    request: Request, caller: Annotated[GatewayCaller | None, Depends(get_caller)]
) -> tuple[str | None, str]:
    return caller.name if caller else None, await identify_caller(request)


def make_app(
    app_with_routers: Callable[..., FastAPI], monkeypatch: pytest.MonkeyPatch, **settings: object
) -> FastAPI:
    monkeypatch.setattr("app.main.install_caller", install_caller)
    return app_with_routers(router, trusted_proxies=(ip_network("10.0.0.0/8"),), **settings)


@pytest.fixture
def app(app_with_routers: Callable[..., FastAPI], monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    return make_app(app_with_routers, monkeypatch, caller_header="X-User")


@pytest.mark.parametrize(
    ("peer", "headers", "name"),
    [
        ("10.1.2.3", {"X-User": "ann"}, "ann"),
        ("10.1.2.3", {"X-User": "ann", "X-Forwarded-For": "203.0.113.5"}, "ann"),
        ("10.1.2.3", {}, None),
        ("10.1.2.3", {"X-User": ""}, None),
        ("192.0.2.1", {"X-User": "ann"}, None),
        ("192.0.2.1", {"X-User": "ann", "X-Forwarded-For": "10.1.2.3"}, None),
        ("a socket", {"X-User": "ann"}, None),
    ],
)
async def test_caller_is_named_by_trusted_proxies_only(
    app: FastAPI, peer: str, headers: dict[str, str], name: str | None
) -> None:
    async with http_client(app, address=peer) as client:
        response = await client.get("/caller", headers=headers)

    assert response.json() == [name, f"caller {name}" if name else "anyone"]


async def test_header_means_nothing_unless_the_settings_name_it(
    app_with_routers: Callable[..., FastAPI], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(app_with_routers, monkeypatch, caller_header="")
    async with http_client(app, address="10.1.2.3") as client:
        response = await client.get("/caller", headers={"X-User": "ann"})

    assert response.json() == [None, "anyone"]
