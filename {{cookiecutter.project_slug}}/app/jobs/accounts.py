"""The jobs that serve signing in."""

from typing import Any

from app.core.config import Settings
from app.core.jobs.kinds import JobKind
from app.core.mail.mailer import make_mailer
from app.jobs.auth import maintenance as maintenance  # adds to `app prune`
from app.jobs.auth.mails import MailJobs


def make_kinds(settings: Settings) -> tuple[JobKind[Any], ...]:
    return MailJobs(make_mailer(settings), settings.worker_jobs).kinds()
