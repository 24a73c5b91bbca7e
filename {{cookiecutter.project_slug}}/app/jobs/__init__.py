"""Background jobs. Each module has the handlers of a few kinds, which are listed only here.

Jobs stand beside routes: a handler opens its own transaction and calls services.
"""

from typing import Any, Final

from app.core.config import Settings
from app.core.jobs.kinds import JobKind, Schedule
from app.jobs import accounts, maintenance, posts


def make_kinds(settings: Settings) -> tuple[JobKind[Any], ...]:
    """Return the kinds of jobs that workers run."""
    return (maintenance.PRUNE, posts.ANNOUNCE, *accounts.make_kinds(settings))


SCHEDULES: Final[tuple[Schedule, ...]] = (maintenance.PRUNE_NIGHTLY,)
