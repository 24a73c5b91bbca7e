"""What the OpenAPI document says of callers and accounts."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI


def operation(app: FastAPI, name: str) -> dict[str, Any]:
    method, path = name.split()
    found: dict[str, Any] = app.openapi()["paths"][path][method.lower()]
    return found


@pytest.mark.parametrize(
    ("name", "security"),
    [
        ("POST /users", [{}, {"OAuth2PasswordBearer": []}]),
        ("GET /users", [{"OAuth2PasswordBearer": []}]),
        ("GET /users/me", [{"OAuth2PasswordBearer": []}]),
        ("POST /auth/token", []),
    ],
)
def test_token_is_required_where_the_service_requires_it(
    app: FastAPI, name: str, security: list[Any]
) -> None:
    assert operation(app, name)["security"] == security


@pytest.mark.parametrize(("setting", "statuses"), [(False, {"201"}), (True, {"201", "202"})])
def test_registration_by_mail_is_shown_where_it_is_on(
    app_with: Callable[..., FastAPI], setting: bool, statuses: set[str]
) -> None:
    responses = operation(app_with(require_verified_email=setting), "POST /users")["responses"]

    assert {status for status in responses if status.startswith("2")} == statuses
    assert not any("x-setting" in response for response in responses.values())


def test_challenge_and_delay_are_declared(app: FastAPI) -> None:
    responses = operation(app, "POST /auth/token")["responses"]

    assert "WWW-Authenticate" in responses["401"]["headers"]
    assert "Retry-After" in responses["429"]["headers"]


@pytest.mark.parametrize(
    "name",
    ["DELETE /users/{user_id}", "PATCH /users/{user_id}/access", "PATCH /users/{user_id}"],
)
def test_stale_sign_in_is_documented(app: FastAPI, name: str) -> None:
    assert "WWW-Authenticate" in operation(app, name)["responses"]["401"]["headers"]
    codes = app.openapi()["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]
    assert "INSUFFICIENT_USER_AUTHENTICATION" in codes
