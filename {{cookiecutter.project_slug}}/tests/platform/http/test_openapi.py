"""Additions to the OpenAPI document that FastAPI generates."""

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Security
from fastapi.security import APIKeyHeader

from app import __author__, __author_email__, __description__, __license__
from app.core.http.edge import EdgeRoute
from app.core.http.openapi import Tag, install_openapi, only_if
from app.core.http.problem_declarations import (
    add_problem_schema,
    may_respond,
    problem_responses,
    requires_credentials,
)
from app.dependencies.database import OpenSessionDep
from tests.platform.operations import operation


def statuses(app: FastAPI, name: str) -> set[str]:
    """Return the statuses of an operation, except those of all operations."""
    common = {"400", "408", "413", "414", "422", "500", "503"}
    return set(operation(app, name)["responses"]) - common


def test_problems_follow_from_what_a_route_depends_on(probe_app: FastAPI) -> None:
    refused = {"401", "403"} & statuses(probe_app, "POST /probes")  # where callers are known

    assert statuses(probe_app, "GET /probes") == {"200"}
    assert statuses(probe_app, "POST /probes") == {"201", "404", "409"} | refused
    assert statuses(probe_app, "GET /probes/{probe_id}") == {"200", "304", "404"}
    changed = {"404", "409", "412", "428"} | refused
    assert statuses(probe_app, "PATCH /probes/{probe_id}") == {"200"} | changed
    assert statuses(probe_app, "DELETE /probes/{probe_id}") == {"204"} | changed


def test_key_is_declared_where_it_is_used(
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


def headers_of(app: FastAPI, name: str, status: int) -> set[str]:
    return set(operation(app, name)["responses"][str(status)].get("headers", {}))


def test_headers_of_responses_are_declared(probe_app: FastAPI) -> None:
    """ETag, Link, Retry-After and the others, where they are sent."""
    assert headers_of(probe_app, "GET /probes", 200) == {"Link"}
    assert headers_of(probe_app, "GET /probes/{probe_id}", 200) == {"ETag"}
    assert headers_of(probe_app, "GET /probes/{probe_id}", 304) == {"ETag"}
    assert headers_of(probe_app, "POST /probes", 201) == {
        "ETag",
        "Idempotency-Replayed",
        "Location",
    }
    assert headers_of(probe_app, "PATCH /probes/{probe_id}", 200) == {"ETag"}
    assert headers_of(probe_app, "PATCH /probes/{probe_id}", 412) == {"ETag"}
    assert headers_of(probe_app, "DELETE /probes/{probe_id}", 204) == set()
    assert headers_of(probe_app, "GET /probes", 503) == {"Retry-After"}


def test_header_that_saves_the_body_is_declared(probe_app: FastAPI) -> None:
    parameters = operation(probe_app, "GET /probes/{probe_id}")["parameters"]

    assert [one["name"] for one in parameters if one["in"] == "header"] == ["If-None-Match"]


def test_codes_of_problems_are_listed(probe_app: FastAPI) -> None:
    codes = probe_app.openapi()["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]

    assert {"CONFLICT", "EMAIL_TAKEN", "KEY_IN_USE", "KEY_REUSED", "METHOD_NOT_ALLOWED"} <= {*codes}
    assert codes == sorted(set(codes))


def test_code_of_a_status_is_listed_only_if_a_response_has_it() -> None:
    def codes(*statuses: int) -> list[str]:
        responses = {str(status): one for status, one in problem_responses(*statuses).items()}
        document: dict[str, Any] = {"paths": {"/things": {"get": {"responses": responses}}}}
        add_problem_schema(document)
        properties = document["components"]["schemas"]["Problem"]["properties"]
        listed: list[str] = properties["code"]["enum"]
        return listed

    assert "URI_TOO_LONG" in codes(414)
    assert "URI_TOO_LONG" not in codes(404)


def test_status_that_no_error_of_the_service_has_is_declared(
    app_with_routers: Callable[..., FastAPI],
) -> None:
    @may_respond(410, 499)
    async def fail() -> None: ...

    router = APIRouter()
    router.get("/things", dependencies=[Depends(fail)])(fail)

    document = app_with_routers(router).openapi()

    responses = document["paths"]["/things"]["get"]["responses"]
    codes = document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]
    example = responses["410"]["content"]["application/problem+json"]["example"]
    assert (responses["410"]["description"], example["code"]) == ("Gone", "GONE")
    assert responses["499"]["description"] == "Error 499"
    assert {"GONE", "ERROR_499"} <= {*codes}


def test_problem_may_be_declared_for_several_statuses(
    app_with_routers: Callable[..., FastAPI],
) -> None:
    async def fail() -> None: ...

    (problem,) = problem_responses(404).values()
    router = APIRouter(responses={"default": problem, "4XX": problem})
    router.get("/things")(fail)

    responses = app_with_routers(router).openapi()["paths"]["/things"]["get"]["responses"]

    assert {"default", "4XX"} <= responses.keys()


def test_ids_are_64_bit_integers(probe_app: FastAPI) -> None:
    document = probe_app.openapi()
    (parameter,) = [
        one
        for one in document["paths"]["/probes/{probe_id}"]["get"]["parameters"]
        if one["in"] == "path"
    ]
    schemas = document["components"]["schemas"]

    assert parameter["schema"]["format"] == "int64"
    for name in ("UserResponse", "PostResponse", "ProbeCreate"):
        ids = [
            field
            for key, field in schemas.get(name, {"properties": {}})["properties"].items()
            if key == "id" or key.endswith("_id")
        ]
        assert all(field["format"] == "int64" for field in ids)


def test_each_method_of_a_route_has_its_own_id(app_with_routers: Callable[..., FastAPI]) -> None:
    router = APIRouter(route_class=EdgeRoute)

    @router.api_route("/things", methods=["GET", "POST"])
    async def things() -> None: ...

    app = app_with_routers(router)

    assert operation(app, "GET /things")["operationId"] == "things_get"
    assert operation(app, "POST /things")["operationId"] == "things_post"


def test_two_functions_of_one_name_are_noticed(app_with_routers: Callable[..., FastAPI]) -> None:
    router = APIRouter(route_class=EdgeRoute)

    async def things() -> None: ...

    router.get("/one")(things)
    router.get("/other")(things)

    with pytest.warns(UserWarning, match="2 operations are called things"):
        app_with_routers(router).openapi()


def test_two_routes_of_one_path_and_method_are_noticed(
    app_with_routers: Callable[..., FastAPI],
) -> None:
    router = APIRouter(route_class=EdgeRoute)

    @router.post("/things/{thing_id}")
    async def first(thing_id: str, open_session: OpenSessionDep) -> None: ...

    @router.post("/things/{thing_id}")
    async def second(thing_id: str, open_session: OpenSessionDep) -> None: ...

    app = app_with_routers(router)
    with pytest.warns(UserWarning, match=r"Two routes are POST /things/\{thing_id\}: "):
        app.openapi()

    names = [one["name"] for one in operation(app, "POST /things/{thing_id}")["parameters"]]
    assert len(names) == len({*names})


def test_scheme_that_insists_is_not_optional(app_with_routers: Callable[..., FastAPI]) -> None:
    router = APIRouter()

    @router.get("/optional")
    async def optional(
        _: Annotated[str, Security(APIKeyHeader(name="k", auto_error=False))],
    ) -> None: ...

    @router.get("/required")
    async def required(_: Annotated[str, Security(APIKeyHeader(name="k"))]) -> None: ...

    app = app_with_routers(router)

    assert operation(app, "GET /optional")["security"] == [{}, {"APIKeyHeader": []}]
    assert operation(app, "GET /required")["security"] == [{"APIKeyHeader": []}]


def test_dependency_may_insist_on_a_scheme_that_does_not(
    app_with_routers: Callable[..., FastAPI],
) -> None:
    router = APIRouter()

    @requires_credentials
    async def require_key(
        _: Annotated[str | None, Security(APIKeyHeader(name="k", auto_error=False))],
    ) -> None: ...

    @router.get("/required", dependencies=[Depends(require_key)])
    async def required() -> None: ...

    app = app_with_routers(router)

    assert operation(app, "GET /required")["security"] == [{"APIKeyHeader": []}]


@pytest.mark.parametrize("is_on", [True, False])
def test_response_that_a_setting_turns_on_is_declared_if_it_does(
    app_with_routers: Callable[..., FastAPI], is_on: bool
) -> None:
    router = APIRouter()

    @router.get("/things", responses=only_if("trust_request_id", {202: {"description": "Later"}}))
    async def list_things() -> None: ...

    app = app_with_routers(router, trust_request_id=is_on)

    responses = operation(app, "GET /things")["responses"]
    assert responses.get("202") == ({"description": "Later"} if is_on else None)


def test_public_operation_says_so(app: FastAPI) -> None:
    assert operation(app, "GET /health/live")["security"] == []


def test_document_says_whose_it_is(app: FastAPI) -> None:
    info = app.openapi()["info"]

    assert info["description"] == __description__
    assert info["contact"] == {"name": __author__, "email": __author_email__}
    assert info["license"]["identifier"] == __license__
    assert __license__.endswith(info["license"]["name"])
    assert app.openapi()["servers"] == [{"url": "/"}]


def test_tags_are_described_once(app_with_routers: Callable[..., FastAPI]) -> None:
    app = app_with_routers(
        APIRouter(route_class=EdgeRoute),
        _router("One"),
        _router(Tag("One", "All of it.")),
        _router("Two"),
    )
    tags = app.openapi()["tags"]
    used = {
        tag
        for item in app.openapi()["paths"].values()
        for one in item.values()
        for tag in one["tags"]
    }

    assert len(tags) == len(used)
    assert {tag["name"] for tag in tags} == used
    assert {"name": "One", "description": "All of it."} in tags
    assert {"name": "Two"} in tags


def _router(tag: str) -> APIRouter:
    router = APIRouter(tags=[tag], route_class=EdgeRoute)
    name = f"{tag}{len(tag.__dict__) if isinstance(tag, Tag) else ''}"

    @router.get(f"/{name}", name=name)
    async def things() -> None: ...

    return router


def test_document_needs_no_security_scheme() -> None:
    """A project may have no security schemes."""
    app = FastAPI()
    app.state.settings = type("Settings", (), {"api_prefix": ""})()
    install_openapi(app)

    assert app.openapi()["paths"] == {}
