import logging

import pytest
from sqlalchemy import text

from app.core.config import Settings
from app.core.database.sessions import Database
from app.core.security.audit import audit, audit_on_commit
from app.exceptions import ConflictError
from app.main import create_app


def test_event_is_one_line_with_its_fields(caplog: pytest.LogCaptureFixture) -> None:
    audit("sign_in_failed", user_id=7, address="192.0.2.1", actor_id=None, is_new=True)

    assert caplog.messages == ['sign_in_failed user_id=7 address="192.0.2.1" is_new=true']
    assert caplog.records[0].name == "app.audit"
    assert vars(caplog.records[0])["audit"] == {
        "event": "sign_in_failed",
        "user_id": 7,
        "address": "192.0.2.1",
        "is_new": True,
    }


@pytest.mark.parametrize("separator", ["\n", "\r\n", "\x85", "\u2028", "\x1b[2K", "\u202e", "\x00"])
def test_value_cannot_forge_a_line_or_a_field(
    caplog: pytest.LogCaptureFixture, separator: str
) -> None:
    audit("sign_in_failed", user_agent=f'x" user_id=1{separator}INFO: app.audit: sign_in user_id=1')

    (message,) = caplog.messages
    assert message.isascii()
    assert message.isprintable()
    assert message.startswith('sign_in_failed user_agent="x\\" user_id=1')
    assert message.count(' "') == 0


def test_percent_signs_are_no_placeholders(caplog: pytest.LogCaptureFixture) -> None:
    audit("sign_in", user_agent="100%s %d %(name)s")

    assert caplog.messages == ['sign_in user_agent="100%s %d %(name)s"']


def test_events_are_logged_whatever_the_level_of_the_log(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger("app")
    before = logger.level
    create_app(settings.model_copy(update={"log_level": "ERROR"}))
    audit("sign_in", user_id=7)
    logger.setLevel(before)

    assert caplog.messages == ["sign_in user_id=7"]


async def test_event_of_a_transaction_is_logged_when_it_has_committed(
    live_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async with live_database.transaction() as session:
        await session.execute(text("SELECT 1"))
        audit_on_commit(session, "role_changed", user_id=7)
        assert caplog.messages == []

    assert caplog.messages == ["role_changed user_id=7"]


async def test_event_of_a_transaction_that_rolls_back_has_not_happened(
    live_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ConflictError):
        await change_and_fail(live_database)

    assert caplog.messages == []


async def test_event_within_a_savepoint_counts_unless_that_is_rolled_back(
    live_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async with live_database.transaction() as session:
        audit_on_commit(session, "role_changed", user_id=7)
        async with session.begin_nested():
            audit_on_commit(session, "deactivated", user_id=7)
        async with session.begin_nested() as savepoint:
            async with session.begin_nested():
                audit_on_commit(session, "reactivated", user_id=7)
            await savepoint.rollback()

    assert caplog.messages == ["role_changed user_id=7", "deactivated user_id=7"]


@pytest.mark.parametrize("end", ["reset", "rollback"])
async def test_event_is_not_that_of_the_next_transaction(
    live_database: Database, caplog: pytest.LogCaptureFixture, end: str
) -> None:
    async with live_database.transaction() as session:
        audit_on_commit(session, "role_changed", user_id=7)
        await session.execute(text("SELECT 1"))
        await getattr(session, end)()
        await session.execute(text("SELECT 1"))

    assert caplog.messages == []


async def change_and_fail(database: Database) -> None:
    async with database.transaction() as session:
        await session.execute(text("SELECT 1"))
        audit_on_commit(session, "role_changed", user_id=7)
        async with session.begin_nested():  # whose end is no commit
            audit_on_commit(session, "deactivated", user_id=7)
        raise ConflictError("half-way")
