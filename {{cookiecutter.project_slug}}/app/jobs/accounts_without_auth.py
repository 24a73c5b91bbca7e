"""The jobs that serve accounts: add yours here."""

from typing import Any

from app.core.config import Settings
from app.core.jobs.kinds import JobKind


def make_kinds(_settings: Settings) -> tuple[JobKind[Any], ...]:
    return ()
