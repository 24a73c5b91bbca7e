"""Deleting expired rows of accounts."""

from datetime import datetime

from app.core.config import load_settings
from app.core.database import Database
from app.core.security.settings import SessionSettings
from app.jobs.maintenance import PRUNERS, repeat
from app.services.auth.login_session_service import LoginSessionMaintenance
from app.services.auth.one_time_token_service import OneTimeTokenMaintenance
from app.services.auth.rate_limit_service import RateLimitService


async def _prune_rate_limits(database: Database) -> int:
    return await RateLimitService(database).prune()


async def _prune_sessions(database: Database) -> int:
    settings = load_settings(SessionSettings)

    async def delete_some(now: datetime) -> int:
        async with database.transaction() as session:
            return await LoginSessionMaintenance(session, settings).prune(now)

    return await repeat(delete_some)


async def _prune_one_time_tokens(database: Database) -> int:
    async def delete_some(now: datetime) -> int:
        async with database.transaction() as session:
            return await OneTimeTokenMaintenance(session).prune(now)

    return await repeat(delete_some)


PRUNERS.update(
    {
        "rate limits": _prune_rate_limits,
        "sessions": _prune_sessions,
        "one-time tokens": _prune_one_time_tokens,
    }
)
