"""Audit events: what happened to which account."""

import json
import logging
from typing import Final

from sqlalchemy import event as sqlalchemy_event
from sqlalchemy.ext.asyncio import AsyncSession

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
    """Log an event after the session's transaction has committed."""

    @sqlalchemy_event.listens_for(session.sync_session, "after_commit", once=True)
    def log(_: object) -> None:
        audit(event, **fields)


def _quoted(value: object) -> str:
    return json.dumps(value if isinstance(value, bool | int) else str(value))
