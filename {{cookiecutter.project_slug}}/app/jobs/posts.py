from typing import Final

from app.core.jobs.kinds import JobContext, JobKind
from app.schemas.post_jobs import AnnouncePost
from app.services.post_announcements import PostAnnouncements


async def _announce(payload: AnnouncePost, context: JobContext) -> None:
    async with context.database.read() as session:
        await PostAnnouncements(session).announce(payload.post_id)


ANNOUNCE: Final = JobKind(AnnouncePost, _announce)
