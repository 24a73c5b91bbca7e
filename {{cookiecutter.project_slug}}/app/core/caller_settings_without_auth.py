"""Settings of how callers are identified: by a header of the gateway in front of the service."""

from typing import ClassVar

from pydantic import Field

from app.core.email_settings import EmailSettings


class CallerSettings(EmailSettings):
    """Settings of the gateway."""

    # Responses of these paths may hold secrets, so they are not to be stored.
    private_paths: ClassVar[tuple[str, ...]] = ()

    caller_header: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9-]*$",
        description="Header in which a trusted proxy names the caller, such as X-User.",
    )
