"""Background jobs: the kinds that workers run, and schedules. Modules have their handlers.

Jobs stand beside routes: a handler opens its own transaction and calls services.
"""

from typing import Any, Final

from app.core.config import Settings
from app.core.jobs.kinds import JobKind, Schedule, require_all_listed
from app.jobs import accounts, maintenance, posts


def make_kinds(settings: Settings) -> tuple[JobKind[Any], ...]:
    """Return the kinds of jobs that workers run.

    Raises `ConfigurationError` for a payload of the app that none of them has.
    """
    kinds: tuple[JobKind[Any], ...] = (
        maintenance.PRUNE,
        posts.ANNOUNCE,
        *accounts.make_kinds(settings),
    )
    require_all_listed(kinds)
    return kinds


SCHEDULES: Final[tuple[Schedule, ...]] = (maintenance.PRUNE_NIGHTLY,)
