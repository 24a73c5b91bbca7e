from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Database
from app.jobs.maintenance import prune
from app.models.auth.one_time_token import OneTimeToken
from app.services.auth import one_time_token_service


async def test_expired_tokens_are_deleted_in_batches(
    live_database: Database, live_session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a wave of invitations there may be too many for one statement."""
    monkeypatch.setattr(one_time_token_service, "_PRUNED_AT_ONCE", 2)
    now = datetime.now(UTC)
    ends = [now - timedelta(seconds=1)] * 5 + [now + timedelta(hours=1)]
    live_session.add_all(
        OneTimeToken(
            purpose="invitation",
            email=f"{number}@example.com",
            digest=bytes([number]),
            expires_at=end,
        )
        for number, end in enumerate(ends)
    )
    await live_session.commit()
    transactions = live_database.transactions.commits

    deleted = (await prune(live_database)).deleted

    assert deleted["one-time tokens"] == 5
    assert live_database.transactions.commits - transactions >= len(deleted) + 2
    assert (await live_session.scalars(select(OneTimeToken.email))).all() == ["5@example.com"]
