"""Background jobs. Each module has the handlers of a few kinds, which are listed only here.

Jobs stand beside routes: a handler opens its own transaction and calls services.
"""

from typing import Any, Final

from app.core.jobs.kinds import JobKind, Schedule
from app.jobs import maintenance, posts

# {%- if cookiecutter.use_auth +%}
from app.jobs.auth import maintenance as auth_maintenance  # noqa: F401 (adds to `app prune`)

# {%- endif +%}

KINDS: Final[tuple[JobKind[Any], ...]] = (posts.ANNOUNCE,)

SCHEDULES: Final[tuple[Schedule, ...]] = (maintenance.PRUNE,)
