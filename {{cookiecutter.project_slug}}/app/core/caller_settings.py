"""Settings of how callers are identified: by access tokens."""

from app.core.security.settings import AuthSettings


class CallerSettings(AuthSettings):
    """Settings of accounts."""
