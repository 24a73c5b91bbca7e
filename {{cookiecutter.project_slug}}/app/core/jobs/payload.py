"""The base class of the payloads of jobs."""

from collections.abc import Iterator
from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class JobPayload(BaseModel):
    """The payload of a kind of job. It is stored as JSON until the job is done.

    `job` names the kind, and stays the same while jobs of the kind are queued. A payload holds ids
    rather than rows, which may have changed by the time the job runs, and no secrets. A field that a
    later version adds needs a default. An unknown field is an error: a version that ignored it would
    not do what was requested.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    job: ClassVar[str]


def payloads_of(package: str) -> Iterator[type[JobPayload]]:
    """Return the payloads that the imported modules of a package define."""
    found: list[type[JobPayload]] = [JobPayload]
    for each in found:
        found.extend(each.__subclasses__())
        if hasattr(each, "job") and each.__module__.partition(".")[0] == package:
            yield each
