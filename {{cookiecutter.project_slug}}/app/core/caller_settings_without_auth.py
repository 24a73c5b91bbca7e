"""How the service knows its callers: by what the gateway in front of it says."""

from pydantic import Field
from pydantic_settings import BaseSettings


class CallerSettings(BaseSettings):
    """What the service is told about the gateway."""

    caller_header: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9-]*$",
        description="Header in which a trusted proxy names the caller, such as X-User.",
    )
