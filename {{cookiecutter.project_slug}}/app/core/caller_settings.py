"""Settings of how callers are identified: by access tokens."""

from app.core.security.settings import AuthSettings


class CallerSettings(AuthSettings):
    """Settings of accounts."""

    @property
    def identifying_headers(self) -> tuple[str, ...]:
        """Headers that name the caller: responses to such requests are not to be stored."""
        return ("Authorization",)
