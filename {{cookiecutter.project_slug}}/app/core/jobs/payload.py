"""What a job is given."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class JobPayload(BaseModel):
    """The payload of a kind of job. It is stored as JSON until the job is done.

    `job` names the kind, and stays the same while jobs of the kind are queued. A payload holds ids
    rather than rows, which may have changed by the time the job runs, and no secrets. A field that a
    later version adds needs a default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    job: ClassVar[str]
