"""What the OpenAPI document says of callers and accounts."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI

from tests.platform.operations import operation


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


def test_signing_out_never_fails_for_the_token(app: FastAPI) -> None:
    assert "401" in operation(app, "POST /auth/refresh")["responses"]
    assert "401" not in operation(app, "POST /auth/logout")["responses"]


def test_length_of_passwords_is_stated(app: FastAPI) -> None:
    fields = [
        field
        for schema in app.openapi()["components"]["schemas"].values()
        for field in _with_members(schema.get("properties", {}).values())
        if field.get("format") == "password" and "token" not in field.get("title", "").lower()
    ]

    assert len(fields) >= 6
    assert {field.get("maxLength") for field in fields} == {512}


def _with_members(fields: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield fields, and the members of those that are one of several."""
    for field in fields:
        yield field
        yield from field.get("anyOf", [])


@pytest.mark.parametrize(
    "name",
    ["DELETE /users/{user_id}", "PATCH /users/{user_id}/access", "PATCH /users/{user_id}"],
)
def test_stale_sign_in_is_documented(app: FastAPI, name: str) -> None:
    assert "WWW-Authenticate" in operation(app, name)["responses"]["401"]["headers"]
    codes = app.openapi()["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]
    assert "INSUFFICIENT_USER_AUTHENTICATION" in codes
