"""Settings for identifying callers by a header of the gateway in front of the service."""

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
    def digest_keys(self) -> tuple[bytes, ...]:
        """Keys for the digests of requests that the database stores: a single empty one.

        Bodies hold no secrets that somebody could guess from a digest.
        """
        return (b"",)

    @property
    def stores_responses_to_anyone(self) -> bool:
        """Whether responses to anonymous callers may be stored: yes, the gateway need not name a caller."""
        return True

    @property
    def identifying_headers(self) -> tuple[str, ...]:
        """Headers that name the caller: responses to such requests must not be stored."""
        return ("Authorization", self.caller_header)
