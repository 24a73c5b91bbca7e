import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, HTTPException
from pydantic import BaseModel, Field
from sqlalchemy import text

from app.core.database import Database
from app.exceptions import ConflictError
from tests.conftest import http_client
from tests.factories import Factory
from tests.platform import probe
from tests.platform.documents import PROJECT, blocks_of
from tests.platform.probe import make_probe


def assert_is_problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["type"] == "about:blank"
    assert body["status"] == status
    assert body["code"] == code
    assert body["title"]
    assert body["detail"]
    assert body["instance"] == response.request.url.raw_path.decode().partition("?")[0]
    return body


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "NOT_FOUND"),
        ("GET", "/no%20where/%C3%A4", 404, "NOT_FOUND"),
        ("PUT", "/probes", 405, "METHOD_NOT_ALLOWED"),
        ("GET", f"/probes/{2**40}", 404, "NOT_FOUND"),
        ("GET", "/probes?limit=0", 422, "VALIDATION_ERROR"),
        ("GET", "/probes?cursor=x", 422, "VALIDATION_ERROR"),
    ],
)
async def test_every_error_has_one_shape(
    probes: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    assert_is_problem(await probes.request(method, path), status, code)


async def test_example_in_the_decision_record_is_what_clients_get(
    probes: httpx.AsyncClient,
) -> None:
    (record,) = PROJECT.glob("docs/decisions/0004-*.md")
    (example,) = (block.code for block in blocks_of(record) if block.language == "json")
    expected = json.loads(example.replace("User", "Probe").replace("/users", "/probes"))

    problem = assert_is_problem(await probes.get(expected["instance"]), 404, "NOT_FOUND")

    assert list(problem.items()) == list((expected | {"request_id": problem["request_id"]}).items())


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/probes", "GET, HEAD, POST"),
        ("/probes/1", "DELETE, GET, HEAD, PATCH"),
        ("/health/live", "GET, HEAD"),
    ],
)
async def test_wrong_method_gets_the_allowed_ones(
    probes: httpx.AsyncClient, path: str, allow: str
) -> None:
    response = await probes.put(path)

    assert_is_problem(response, 405, "METHOD_NOT_ALLOWED")
    assert response.headers["allow"] == allow


async def test_body_that_is_no_text_is_refused(probes: httpx.AsyncClient) -> None:
    response = await probes.post(
        "/probes", content=b"\xff", headers={"Content-Type": "application/json"}
    )

    assert_is_problem(response, 400, "BAD_REQUEST")


@pytest.mark.parametrize("body", ["{", "", "nul", '{"email": }', "\ufeff{}"])
async def test_body_that_is_no_json_is_refused(probes: httpx.AsyncClient, body: str) -> None:
    response = await probes.post(
        "/probes", content=body, headers={"Content-Type": "application/json"}
    )

    assert_is_problem(response, 422, "VALIDATION_ERROR")


async def test_validation_errors_name_the_place_and_never_repeat_the_input(
    probes: httpx.AsyncClient,
) -> None:
    response = await probes.post(
        "/probes", json={"owner_id": "hunter2", "name": ["hunter2"], "unknown": "hunter2"}
    )

    body = assert_is_problem(response, 422, "VALIDATION_ERROR")
    places = {error["loc"][1] for error in body["errors"]}
    assert {"owner_id", "name", "unknown"} <= places
    assert "hunter2" not in response.text


async def test_errors_are_listed_up_to_50_and_the_rest_is_counted(
    app_with_routers: Callable[..., FastAPI], database: Database
) -> None:
    router = APIRouter()

    @router.post("/sums")
    async def add(numbers: list[int]) -> int:
        return sum(numbers)

    async with http_client(app_with_routers(router, database=database)) as client:
        few, many = [await client.post("/sums", json=["x"] * number) for number in (50, 1000)]

    assert (len(few.json()["errors"]), few.json().get("more_errors")) == (50, None)
    assert (len(many.json()["errors"]), many.json()["more_errors"]) == (50, 950)


async def test_constraint_names_the_field_that_broke_it(
    probes: httpx.AsyncClient, make: Factory
) -> None:
    probe = await make_probe(make)
    taken = await probes.post("/probes", json={"owner_id": probe.owner_id, "name": probe.name})
    missing = await probes.post("/probes", json={"owner_id": 2**40, "name": "Other"})

    (error,) = assert_is_problem(taken, 409, "CONFLICT")["errors"]
    assert (error["loc"], error["code"]) == (["body", "name"], "conflict")
    (error,) = assert_is_problem(missing, 404, "NOT_FOUND")["errors"]
    assert error["loc"] == ["body", "owner_id"]


async def test_wrong_media_type_names_the_expected_one(probes: httpx.AsyncClient) -> None:
    response = await probes.post("/probes", data={"name": "x"})

    error = assert_is_problem(response, 422, "VALIDATION_ERROR")["errors"][0]
    assert error["loc"] == ["header", "Content-Type"]
    assert error["detail"] == (
        "Send the body as application/json, not as application/x-www-form-urlencoded"
    )


async def test_nul_is_refused_by_a_sentence(probes: httpx.AsyncClient) -> None:
    response = await probes.get("/probes?cursor=%00")

    (error,) = assert_is_problem(response, 422, "VALIDATION_ERROR")["errors"]
    assert error["detail"] == "Text must not contain NUL characters"


async def test_unexpected_error_tells_the_client_nothing_of_itself(
    app_with_routers: Callable[..., FastAPI],
) -> None:
    router = APIRouter()

    @router.get("/broken")
    async def broken() -> None:
        raise RuntimeError("SELECT hunter2 FROM vault")

    async with http_client(app_with_routers(router), raises=False) as client:
        response = await client.get("/broken")

    assert_is_problem(response, 500, "INTERNAL_SERVER_ERROR")
    assert "hunter2" not in response.text
    assert "Traceback" not in response.text


async def test_error_of_the_database_tells_the_client_no_sql(
    probe_app: FastAPI, live_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "_BY_ID", text("SELECT hunter2 FROM vault"))
    probe_app.state.database = live_database

    async with http_client(probe_app, raises=False) as client:
        response = await client.get("/probes/1")

    assert_is_problem(response, 500, "INTERNAL_SERVER_ERROR")
    assert "hunter2" not in response.text
    assert "SELECT" not in response.text


@pytest.mark.parametrize("status", [204, 205, 304])
async def test_status_that_must_have_no_body_has_none(
    app_with_routers: Callable[..., FastAPI], status: int
) -> None:
    """Otherwise the server breaks the connection."""
    router = APIRouter()

    @router.get("/empty")
    async def stop() -> None:
        raise HTTPException(status, headers={"X-Reason": "none"})

    async with http_client(app_with_routers(router)) as client:
        response = await client.get("/empty")

    assert (response.status_code, response.content) == (status, b"")
    assert response.headers["x-reason"] == "none"
    assert "content-type" not in response.headers


async def test_error_says_where_its_field_is_in_the_request(
    app_with_routers: Callable[..., FastAPI], database: Database
) -> None:
    class Body(BaseModel):
        name: str = Field(alias="Name")

    router = APIRouter()

    @router.put("/things/{owner_id}/{field}")
    async def name_thing(owner_id: int, field: str, body: Body) -> None:
        raise ConflictError("It is wrong", field=field)

    @router.put("/things/{owner_id}/{field}/like")
    async def like_thing(owner_id: int, field: str) -> None:
        raise ConflictError("It is wrong", field=field)

    found = {}
    async with http_client(app_with_routers(router, database=database)) as client:
        for path in ("name", "owner_id", "user_id", "name/like", "owner_id/like"):
            response = await client.put(f"/things/7/{path}", json={"Name": "x"})
            found[path] = [error["loc"] for error in response.json().get("errors", [])]

    assert found == {
        "name": [["body", "Name"]],
        "owner_id": [["path", "owner_id"]],
        "user_id": [],
        "name/like": [],
        "owner_id/like": [["path", "owner_id"]],
    }


def operations(app: FastAPI) -> list[tuple[str, dict[str, Any]]]:
    paths = app.openapi()["paths"]
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in paths.items()
        for method, operation in methods.items()
    ]


def test_failures_are_declared_as_problems_with_examples(app: FastAPI) -> None:
    for name, operation in operations(app):
        for status, response in operation["responses"].items():
            if status >= "400":
                assert list(response["content"]) == ["application/problem+json"], name
                problem = response["content"]["application/problem+json"]
                assert problem["schema"] == {"$ref": "#/components/schemas/Problem"}, name
                assert problem["example"]["status"] == int(status), name
        if not name.startswith("GET /health"):
            assert {"400", "408", "413", "414", "422", "500", "503"} <= operation[
                "responses"
            ].keys(), name


def test_every_schema_that_openapi_refers_to_is_there(app: FastAPI) -> None:
    document = app.openapi()
    schemas = document["components"]["schemas"]

    assert {"Problem", "ProblemError"} <= schemas.keys()
    assert "HTTPValidationError" not in schemas


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
async def test_prefix_moves_every_route_but_the_health_checks(
    app_with: Callable[..., FastAPI], app: FastAPI, prefix: str
) -> None:
    paths = set(app_with(api_prefix=prefix).openapi()["paths"])

    health = {"/health/live", "/health/ready"}
    assert paths == health | {prefix + path for path in set(app.openapi()["paths"]) - health}


@pytest.mark.parametrize(
    ("status", "detail", "title", "expected"),
    [
        (404, {"reason": "gone"}, "Not Found", '{"reason": "gone"}'),
        (409, None, "Conflict", "Conflict"),
        (499, "Closed", "Error 499", "Closed"),
    ],
)
async def test_http_exceptions_may_have_any_detail_and_status(
    app_with_routers: Callable[..., FastAPI], status: int, detail: Any, title: str, expected: str
) -> None:
    router = APIRouter()

    @router.get("/fails")
    async def fail() -> None:
        raise HTTPException(status, detail)

    async with http_client(app_with_routers(router), raises=False) as client:
        response = await client.get("/fails")

    body = response.json()
    assert (response.status_code, body["title"], body["detail"]) == (status, title, expected)
