from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.core.config import Settings
from app.main import create_app
from tests.conftest import http_client


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
        ("PUT", "/users", 405, "METHOD_NOT_ALLOWED"),
        ("GET", f"/posts/{2**40}", 404, "NOT_FOUND"),
        ("GET", "/posts?limit=0", 422, "VALIDATION_ERROR"),
        ("GET", "/posts?cursor=x", 422, "VALIDATION_ERROR"),
    ],
)
async def test_every_error_has_one_shape(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    assert_is_problem(await client.request(method, path), status, code)


@pytest.mark.parametrize(
    ("path", "allow"),
    [("/users", "GET, POST"), ("/users/1", "DELETE, GET, PATCH"), ("/users/import", "POST")],
)
async def test_wrong_method_is_answered_with_all_right_ones(
    client: httpx.AsyncClient, path: str, allow: str
) -> None:
    response = await client.put(path)

    assert_is_problem(response, 405, "METHOD_NOT_ALLOWED")
    assert response.headers["allow"] == allow


async def test_body_that_is_no_text_is_refused(client: httpx.AsyncClient) -> None:
    response = await client.post(
        "/users", content=b"\xff", headers={"Content-Type": "application/json"}
    )

    assert_is_problem(response, 400, "BAD_REQUEST")


@pytest.mark.parametrize("body", ["{", "", "nul", '{"email": }', "\ufeff{}"])
async def test_body_that_is_no_json_is_refused(client: httpx.AsyncClient, body: str) -> None:
    response = await client.post(
        "/users", content=body, headers={"Content-Type": "application/json"}
    )

    assert_is_problem(response, 422, "VALIDATION_ERROR")


async def test_validation_errors_name_the_place_and_never_repeat_the_input(
    client: httpx.AsyncClient,
) -> None:
    response = await client.post(
        "/users", json={"email": "hunter2", "display_name": ["hunter2"], "unknown": "hunter2"}
    )

    body = assert_is_problem(response, 422, "VALIDATION_ERROR")
    places = {error["loc"][1] for error in body["errors"]}
    assert {"email", "display_name", "unknown"} <= places
    assert "hunter2" not in response.text


async def test_unexpected_error_tells_the_client_nothing_of_itself(settings: Settings) -> None:
    app = create_app(settings)

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("SELECT hunter2 FROM vault")

    async with http_client(app) as client:
        response = await client.get("/broken")

    assert_is_problem(response, 500, "INTERNAL_SERVER_ERROR")
    assert "hunter2" not in response.text
    assert "Traceback" not in response.text


async def test_error_of_the_database_tells_the_client_no_sql(
    live_client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.repositories.post_repo._BY_ID", text("SELECT hunter2 FROM vault"))

    response = await live_client.get("/posts/1")

    assert_is_problem(response, 500, "INTERNAL_SERVER_ERROR")
    assert "hunter2" not in response.text
    assert "SELECT" not in response.text


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
    app_with: Callable[..., FastAPI], prefix: str
) -> None:
    app = app_with(api_prefix=prefix)

    paths = set(app.openapi()["paths"])

    assert {"/health/live", "/health/ready", f"{prefix}/users", f"{prefix}/posts"} <= paths
    assert {path for path in paths if not path.startswith(f"{prefix}/")} <= {
        "/health/live",
        "/health/ready",
    }
    # {% if cookiecutter.use_auth %}
    scheme = app.openapi()["components"]["securitySchemes"]["OAuth2PasswordBearer"]
    assert scheme["flows"]["password"]["tokenUrl"] == f"{prefix}/auth/token"
    # {% endif %}
