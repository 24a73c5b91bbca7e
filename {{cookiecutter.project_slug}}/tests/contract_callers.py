"""The callers of the contract test (`tests/test_contract.py`): two administrators."""

from os import environ
from typing import Any, Final

from app.core.config import Settings
from app.core.database import Database
from tests.auth.accounts import bearer
from tests.factories import Factory

# Options of schemathesis, the environment of its hooks, and the secrets that must not be logged.
Caller = tuple[list[str], dict[str, str], list[str]]

# Passwords that the policy accepts: not common, and as long after normalization as before.
FORMATS: Final = {"password": r"[A-Za-z0-9]{8}-[A-Za-z0-9]{8}"}


def service_environment(settings: Settings) -> dict[str, str]:
    """Return the environment variables of the service."""
    return {
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
    """Write the first two users, both administrators. The first one is the caller."""
    async with database.write_sessions() as session:
        admins = [await Factory(session).user(role="admin") for _ in range(2)]
    first, second = (bearer(admin, settings)["Authorization"] for admin in admins)
    secrets = [first.split()[1], second.split()[1], settings.secret_key.get_secret_value()]
    return [f"--header=Authorization: {first}"], {"CONTRACT_OTHER_CALLER": second}, secrets


def adapt(case: Any) -> None:
    """Redirect requests by which the caller would lose its account, its role or its sessions."""
    taken_away = case.method == "DELETE" or case.path.endswith("/access")
    if taken_away and str(case.path_parameters.get("user_id")) == "1":
        case.path_parameters["user_id"] = 2
    if case.method == "DELETE" and case.path.endswith("/sessions"):
        case.headers["Authorization"] = environ["CONTRACT_OTHER_CALLER"]
