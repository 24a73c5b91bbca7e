"""The callers of the contract test (`tests/test_contract.py`): two administrators."""

from os import environ
from typing import Any, Final

from app.core.config import Settings
from app.core.database import Database
from tests.auth.accounts import bearer
from tests.factories import Factory

# The headers of the caller, the environment of the hooks, and the secrets that must not be logged.
Caller = tuple[dict[str, str], dict[str, str], list[str]]

# Passwords that the policy accepts: not common, and as long after normalization as before.
FORMATS: Final = {"password": r"[A-Za-z0-9]{8}-[A-Za-z0-9]{8}"}


def service_environment(settings: Settings) -> dict[str, str]:
    """Return the environment variables of the service."""
    return {
        "DEVELOPMENT": "true",
        "SECRET_KEY": settings.secret_key.get_secret_value(),
        "MAIL_DELIVERY": "console",
        # The costs of production would slow down every sign-in.
        "ARGON2_TIME_COST": str(settings.argon2_time_cost),
        "ARGON2_MEMORY_KIB": str(settings.argon2_memory_kib),
        "ARGON2_PARALLELISM": str(settings.argon2_parallelism),
        # All requests come from one address.
        "PASSWORD_TRIES_PER_ADDRESS": "1000000",
        "MAILS_PER_ADDRESS": "1000000",
    }


async def prepare_caller(database: Database, settings: Settings) -> Caller:
    """Write the first three users, all administrators. The first one is the caller."""
    async with database.write_sessions() as session:
        make = Factory(session)
        admins = [await make.user(role="admin") for _ in range(3)]
        caller, other, _ = [await bearer(make, admin, settings) for admin in admins]
    tokens = [headers["Authorization"].split()[1] for headers in (caller, other)]
    environment = {
        "CONTRACT_CALLER": caller["Authorization"],
        "CONTRACT_OTHER_CALLER": other["Authorization"],
    }
    return caller, environment, [*tokens, settings.secret_key.get_secret_value()]


def register() -> None:
    """Let schemathesis sign its requests. (Its option `--header` would win over any hook.)"""
    import schemathesis  # only in the process that it has of its own

    @schemathesis.auth()
    class SignedIn:
        def get(self, _case: Any, _context: Any) -> str:
            return environ["CONTRACT_CALLER"]

        def set(self, case: Any, caller: str, _context: Any) -> None:
            signs_out = case.method == "DELETE" and "/auth/sessions" in case.path
            case.headers["Authorization"] = (
                environ["CONTRACT_OTHER_CALLER"] if signs_out else caller
            )


def adapt(case: Any) -> None:
    """Redirect requests by which the caller would lose its account or its role."""
    taken_away = case.method == "DELETE" or case.path.endswith("/access")
    if taken_away and str(case.path_parameters.get("user_id")) in {"1", "2"}:
        case.path_parameters["user_id"] = 3
