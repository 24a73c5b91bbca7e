"""Settings of how callers are identified: by access tokens."""

from typing import ClassVar

from app.core.security.settings import AuthSettings


class CallerSettings(AuthSettings):
    """Settings of accounts."""

    # Responses of these paths may hold tokens, so they are not to be stored.
    private_paths: ClassVar[tuple[str, ...]] = ("/auth/",)
