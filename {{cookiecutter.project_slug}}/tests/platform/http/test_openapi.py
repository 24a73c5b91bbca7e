"""Additions to the OpenAPI document that FastAPI generates."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, FastAPI

from app.core.http.edge import EdgeRoute
from app.core.http.openapi import install_openapi
from app.dependencies.database import OpenSessionDep


def operation(app: FastAPI, name: str) -> dict[str, Any]:
    method, path = name.split()
    found: dict[str, Any] = app.openapi()["paths"][path][method.lower()]
    return found


def statuses(app: FastAPI, name: str) -> set[str]:
    """Return the statuses of an operation, except those of all operations."""
    common = {"400", "408", "413", "414", "422", "500", "503"}
    return set(operation(app, name)["responses"]) - common


def test_problems_follow_from_what_a_route_depends_on(probe_app: FastAPI) -> None:
    signed_in = {"401", "403"} & statuses(probe_app, "POST /probes")  # where callers are known

    assert statuses(probe_app, "GET /probes") == {"200"}
    assert statuses(probe_app, "POST /probes") == {"201", "404", "409"} | signed_in
    assert statuses(probe_app, "GET /probes/{probe_id}") == {"200", "304", "404"}
    changed = {"404", "409", "412", "428"} | signed_in
    assert statuses(probe_app, "PATCH /probes/{probe_id}") == {"200"} | changed
    assert statuses(probe_app, "DELETE /probes/{probe_id}") == {"204"} | changed


def test_key_is_declared_where_it_is_heeded(
    probe_app: FastAPI, app_with_routers: Callable[..., FastAPI]
) -> None:
    router = APIRouter(route_class=EdgeRoute)

    @router.post("/without-a-session")
    async def post() -> None: ...

    @router.post("/with-a-late-session")
    async def post_late(open_session: OpenSessionDep) -> None: ...

    app = app_with_routers(router)

    def headers(app: FastAPI, name: str) -> list[str]:
        parameters = operation(app, name).get("parameters", [])
        return [one["name"] for one in parameters if one["in"] == "header"]

    assert headers(probe_app, "POST /probes") == ["Idempotency-Key"]
    assert headers(probe_app, "PATCH /probes/{probe_id}") == ["If-Match"]
    assert headers(app, "POST /without-a-session") == []
    assert headers(app, "POST /with-a-late-session") == ["Idempotency-Key"]


def test_links_name_operations_that_are_there(probe_app: FastAPI) -> None:
    operations = {
        one["operationId"]: one
        for methods in probe_app.openapi()["paths"].values()
        for one in methods.values()
    }
    links = {
        link["operationId"]: link["parameters"].keys()
        for one in operations.values()
        for response in one["responses"].values()
        for link in response.get("links", {}).values()
    }

    assert {"read_probe", "update_probe", "delete_probe"} <= links.keys() <= operations.keys()
    for name, parameters in links.items():
        assert parameters <= {one["name"] for one in operations[name]["parameters"]}


def test_document_needs_no_security_scheme() -> None:
    """A project may have no security schemes."""
    app = FastAPI()
    app.state.settings = type("Settings", (), {"api_prefix": ""})()
    install_openapi(app)

    assert app.openapi()["paths"] == {}
