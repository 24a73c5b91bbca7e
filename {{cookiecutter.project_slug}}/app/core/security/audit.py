"""Audit events: what happened to whose account, for those who have to find out later."""

import json
import logging
from typing import Final

from sqlalchemy import event as sqlalchemy_event
from sqlalchemy.ext.asyncio import AsyncSession

_logger: Final = logging.getLogger("app.audit")

# Whatever LOG_LEVEL says: an event that was left out cannot be asked for later.
_logger.setLevel(logging.INFO)


def audit(event: str, **fields: object) -> None:
    """Log an event in one line, such as `sign_in_failed user_id=7 address="192.0.2.1"`.

    `event` is a constant of the code. Fields that are None are left out; texts are quoted as in
    JSON, in ASCII, so that no value can look like another field or begin another line. Handlers
    that write records in a format of their own find the fields in `record.audit`.
    """
    known = {name: value for name, value in fields.items() if value is not None}
    line = " ".join([event, *(f"{name}={_quoted(value)}" for name, value in known.items())])
    _logger.info("%s", line, extra={"audit": {"event": event, **known}})


def audit_on_commit(session: AsyncSession, event: str, **fields: object) -> None:
    """Log an event when the session's transaction has committed: before that it may not happen."""

    @sqlalchemy_event.listens_for(session.sync_session, "after_commit", once=True)
    def log(_: object) -> None:
        audit(event, **fields)


def _quoted(value: object) -> str:
    return json.dumps(value if isinstance(value, bool | int) else str(value))
