import pytest
from fastapi import FastAPI

from tests.auth.accounts import EMAIL, Opener
from tests.callers import expected_statuses
from tests.endpoints import Arrange, Endpoint, stated_endpoints

PROTECTED = [one for one in stated_endpoints() if expected_statuses(one)[0] == 401]


@pytest.mark.parametrize("endpoint", PROTECTED, ids=str)
async def test_anonymous_caller_is_told_how_to_sign_in(
    arrange: Arrange, endpoint: Endpoint
) -> None:
    response = await (await arrange(endpoint, "anonymous"))()

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"


async def test_key_of_a_caller_with_an_invalid_token_is_refused_as_documented(
    app: FastAPI, open_client: Opener
) -> None:
    """Also on routes that anyone may call: whose key would it be?"""
    path = "/auth/password-reset"
    headers = {"Idempotency-Key": "key", "Authorization": "Bearer x"}

    response = await open_client().post(path, json={"email": EMAIL}, headers=headers)

    assert response.status_code == 401
    assert "401" in app.openapi()["paths"][path]["post"]["responses"]
