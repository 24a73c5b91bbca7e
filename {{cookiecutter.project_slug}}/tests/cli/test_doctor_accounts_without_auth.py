"""What `app doctor` says about the header in which the gateway names the caller."""

import pytest

from app.cli.doctor.accounts_without_auth import weak_account_settings
from app.core.config import Settings


@pytest.mark.parametrize(
    ("values", "is_reported"),
    [
        ({"caller_header": "X-User"}, True),
        ({"caller_header": "X-User", "trusted_proxies": ("10.0.0.0/8",)}, False),
        ({"caller_header": ""}, False),
    ],
)
def test_header_that_nobody_may_send_is_reported(
    settings: Settings, values: dict[str, object], is_reported: bool
) -> None:
    found = list(weak_account_settings(settings.model_copy(update=values)))

    assert bool(found) == is_reported
    assert all(finding.todo for finding in found)
    assert all(finding.found == "CALLER_HEADER: X-User is ignored" for finding in found)
