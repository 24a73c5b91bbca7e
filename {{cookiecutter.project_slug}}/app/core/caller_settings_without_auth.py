"""Settings of how callers are identified: by a header of the gateway in front of the service."""

from pydantic import Field

from app.core.email_settings import EmailSettings


class CallerSettings(EmailSettings):
    """Settings of the gateway."""

    caller_header: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9-]*$",
        description="Header in which a trusted proxy names the caller, such as X-User.",
    )

    @property
    def identifying_headers(self) -> tuple[str, ...]:
        """Headers that name the caller: responses to such requests are not to be stored."""
        return ("Authorization", self.caller_header)
