"""Background jobs. Each module has the handlers of a few kinds, which are listed only here.

Jobs stand beside routes: a handler opens its own transaction and calls services.
"""

from typing import Any, Final

from app.core.config import Settings
from app.core.jobs.kinds import JobKind, Schedule

# {%- if cookiecutter.use_auth +%}
from app.core.mail.mailer import make_mailer

# {%- endif +%}
from app.jobs import maintenance, posts

# {%- if cookiecutter.use_auth +%}
from app.jobs.auth import maintenance as auth_maintenance  # noqa: F401 (adds to `app prune`)
from app.jobs.auth.mails import MailJobs

# {%- endif +%}


def make_kinds(settings: Settings) -> tuple[JobKind[Any], ...]:  # noqa: ARG001, RUF100 (some variants need none)
    """Return the kinds of jobs that workers run."""
    return (
        posts.ANNOUNCE,
        maintenance.PRUNE,
        # {% if cookiecutter.use_auth %}
        *MailJobs(make_mailer(settings)).kinds(),
        # {% endif %}
    )


SCHEDULES: Final[tuple[Schedule, ...]] = (maintenance.PRUNE_NIGHTLY,)
