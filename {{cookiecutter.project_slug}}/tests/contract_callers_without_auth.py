"""How the contract test (`tests/test_contract.py`) calls: as anyone."""

from typing import Any, Final

from app.core.config import Settings
from app.core.database import Database

# Options for schemathesis, the environment of the hooks, and what the service must not log.
Caller = tuple[list[str], dict[str, str], list[str]]

FORMATS: Final[dict[str, str]] = {}


def service_environment(_settings: Settings) -> dict[str, str]:
    """Return the environment variables of the service."""
    return {}


async def prepare_caller(_database: Database, _settings: Settings) -> Caller:
    return [], {}, []


def adapt(case: Any) -> None:
    """Change nothing: the caller cannot lose access."""
