import pytest

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
