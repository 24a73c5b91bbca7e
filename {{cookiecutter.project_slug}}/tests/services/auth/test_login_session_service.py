from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import load_settings
from app.core.database import Database
from app.core.security.settings import SessionSettings
from app.jobs.maintenance import prune
from app.models.auth.login_session import LoginSession
from app.services.auth import login_session_service
from tests.auth.accounts import make_login_session
from tests.factories import Factory


async def test_ended_sessions_are_deleted_in_batches(
    live_database: Database,
    live_session: AsyncSession,
    make_live: Factory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A service may have millions, which would be too many for one statement."""
    monkeypatch.setattr(login_session_service, "_PRUNED_AT_ONCE", 2)
    user = await make_live.user()
    now = datetime.now(UTC)
    too_long = timedelta(days=load_settings(SessionSettings).session_idle_days, seconds=1)
    sessions = [await make_login_session(make_live, user) for _ in range(6)]
    for ended in sessions[:3]:
        ended.expires_at = now - timedelta(seconds=1)
    for idle in sessions[3:5]:
        idle.last_used_at = now - too_long
    await live_session.commit()
    transactions = live_database.transactions.commits

    deleted = (await prune(live_database)).deleted

    assert deleted["sessions"] == 5
    assert live_database.transactions.commits - transactions >= len(deleted) + 2
    async with live_database.read() as session:
        assert (await session.scalars(select(LoginSession.id))).all() == [sessions[5].id]
