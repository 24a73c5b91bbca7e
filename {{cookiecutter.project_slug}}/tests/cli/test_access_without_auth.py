"""Which rule `app routes` shows for a route."""

from typing import Any

import pytest

from app.cli.access_without_auth import who_may_call
from app.dependencies.caller_without_auth import get_admitted_caller, get_caller, require_admin
from app.services.permissions_without_auth import require_owner_or_admin
from tests.endpoints import Access


@pytest.mark.parametrize(
    ("calls", "rule"),
    [
        (set(), "anyone"),
        ({get_caller}, "anyone"),
        ({get_admitted_caller}, "get_admitted_caller"),
        ({require_admin, get_admitted_caller}, "require_admin"),
    ],
)
def test_rule_is_that_of_the_dependencies_unless_the_tests_state_one(
    calls: set[Any], rule: str
) -> None:
    assert who_may_call(calls, "") == rule
    assert who_may_call(calls, Access.OWNER.name) == require_owner_or_admin.__name__


def test_each_access_that_tests_state_has_its_rule() -> None:
    assert {access.name: who_may_call((), access.name) for access in Access} == {
        "OPEN": "anyone",
        "CALLER": get_admitted_caller.__name__,
        "OWNER": require_owner_or_admin.__name__,
        "ADMIN": require_admin.__name__,
    }
