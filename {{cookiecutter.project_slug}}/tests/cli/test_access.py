"""Who may call a route, as `app routes` shows it."""

from typing import Any

import pytest

from app.cli.access import who_may_call
from app.dependencies.caller import get_caller, get_current_user, require_admin
from tests.endpoints import Access


@pytest.mark.parametrize(
    ("calls", "who"),
    [
        (set(), "anyone"),
        ({get_caller}, "anyone"),
        ({get_current_user}, "signed in"),
        ({require_admin, get_current_user}, "admin"),
    ],
)
def test_access_is_that_of_the_dependencies_unless_the_tests_state_one(
    calls: set[Any], who: str
) -> None:
    assert who_may_call(calls, "") == who
    assert who_may_call(calls, Access.OWNER.name) == "owner or admin"


def test_each_access_that_tests_state_is_shown() -> None:
    assert [who_may_call((), access.name) for access in Access] == [
        *("anyone", "signed in", "owner or admin", "admin"),
    ]
