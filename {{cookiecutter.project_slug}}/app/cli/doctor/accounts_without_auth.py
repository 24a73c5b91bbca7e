"""Checks of how callers are identified: by a header of the gateway."""

from collections.abc import Iterator
from typing import Final

from app.cli.doctor.findings import Check, Finding, warning
from app.core.config import Settings


def weak_account_settings(settings: Settings) -> Iterator[Finding]:
    """Yield settings with which the gateway cannot name callers."""
    header = getattr(settings, "caller_header", "")
    if header and not settings.trusted_proxies:
        yield warning(f"CALLER_HEADER: {header} is ignored", "set TRUSTED_PROXIES to the gateway")


CHECKS: Final[dict[str, Check]] = {}
