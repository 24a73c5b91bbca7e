"""How the service knows its callers: by their access tokens."""

from app.core.security.settings import AuthSettings


class CallerSettings(AuthSettings):
    """What the service is told about accounts."""
