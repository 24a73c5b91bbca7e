"""Audit events: what happened to which account."""

import json
import logging
from collections.abc import Iterator
from typing import Final
from weakref import WeakSet

from sqlalchemy import event as sqlalchemy_event
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, SessionTransaction

_logger: Final = logging.getLogger("app.audit")

# Independent of LOG_LEVEL, because events that were not logged are lost.
_logger.setLevel(logging.INFO)


def audit(event: str, **fields: object) -> None:
    """Log an event in one line, such as `sign_in_failed user_id=7 address="192.0.2.1"`.

    `event` is a constant. Fields that are None are omitted. Strings are quoted as ASCII JSON, so
    that a value can inject neither fields nor lines. Custom log handlers find the fields in
    `record.audit`.
    """
    known = {name: value for name, value in fields.items() if value is not None}
    line = " ".join([event, *(f"{name}={_quoted(value)}" for name, value in known.items())])
    _logger.info("%s", line, extra={"audit": {"event": event, **known}})


def audit_on_commit(session: AsyncSession, event: str, **fields: object) -> None:
    """Log an event after the session's transaction has committed.

    An event within a savepoint that is rolled back is not logged.
    """
    due = [fields]
    enclosing = WeakSet(_current_transactions(session.sync_session))

    @sqlalchemy_event.listens_for(session.sync_session, "after_commit")
    def log(committed: Session) -> None:
        if due and not committed.in_nested_transaction():  # else a savepoint has ended
            audit(event, **due.pop())

    @sqlalchemy_event.listens_for(session.sync_session, "after_soft_rollback")
    def drop(_: Session, rolled_back: SessionTransaction) -> None:
        if rolled_back in enclosing:
            due.clear()

    @sqlalchemy_event.listens_for(session.sync_session, "after_transaction_end")
    def end(_: Session, ended: SessionTransaction) -> None:
        if ended.parent is None:  # maybe reset, or begun after the event: the next one is another
            due.clear()


def _current_transactions(session: Session) -> Iterator[SessionTransaction]:
    """Yield the innermost savepoint, those around it, and the transaction."""
    current = session.get_nested_transaction() or session.get_transaction()
    while current:
        yield current
        current = current.parent


def _quoted(value: object) -> str:
    return json.dumps(value if isinstance(value, bool | int) else str(value))
