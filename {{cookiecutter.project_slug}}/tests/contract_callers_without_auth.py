"""How the contract test (`tests/test_contract.py`) calls: as anyone."""

from typing import Any, Final

from app.core.config import Settings
from app.core.database import Database

# The headers of the caller, the environment of the hooks, and the secrets that must not be logged.
Caller = tuple[dict[str, str], dict[str, str], list[str]]

FORMATS: Final[dict[str, str]] = {}


def service_environment(_settings: Settings) -> dict[str, str]:
    """Return the environment variables of the service."""
    return {}


async def prepare_caller(_database: Database, _settings: Settings) -> Caller:
    return {}, {}, []


def register() -> None:
    """Add nothing to the requests."""


def adapt(_case: Any) -> None:
    """Change nothing: the caller cannot lose access."""
