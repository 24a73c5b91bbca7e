"""Settings of how callers are identified: by a header of the gateway in front of the service."""

from pydantic import Field
from pydantic_settings import BaseSettings


class CallerSettings(BaseSettings):
    """Settings of the gateway."""

    caller_header: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9-]*$",
        description="Header in which a trusted proxy names the caller, such as X-User.",
    )
