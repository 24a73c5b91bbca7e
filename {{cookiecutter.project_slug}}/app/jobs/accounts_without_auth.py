"""Jobs that serve accounts, of which this project has none."""

from typing import Any

from app.core.config import Settings
from app.core.jobs.kinds import JobKind


def make_kinds(_settings: Settings) -> tuple[JobKind[Any], ...]:
    return ()
