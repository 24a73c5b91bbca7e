from typing import Final

from app.core.jobs.kinds import JobContext, JobKind
from app.schemas.post_jobs import AnnouncePost
from app.services.post_announcements import PostAnnouncements


async def _announce(payload: AnnouncePost, context: JobContext) -> None:
    # A replica may not have the post yet.
    async with context.database.read(newest=True) as session:
        await PostAnnouncements(session).announce(payload.post_id)


ANNOUNCE: Final = JobKind(AnnouncePost, _announce)
