"""Payloads of the jobs that concern posts."""

from typing import ClassVar

from app.core.jobs.payload import JobPayload


class AnnouncePost(JobPayload):
    """Announce a new post."""

    job: ClassVar = "announce_post"

    post_id: int
