"""Settings for identifying callers by access tokens."""

from app.core.security.settings import AuthSettings


class CallerSettings(AuthSettings):
    """Settings of accounts."""

    @property
    def digest_keys(self) -> tuple[bytes, ...]:
        """Keys for the digests of requests that the database stores, the current one first.

        Without the key, a password in a request cannot be guessed from its digest.
        """
        keys = (self.secret_key, self.secret_key_previous)
        return tuple(key.get_secret_value().encode() for key in keys if key)

    @property
    def stores_responses_to_anyone(self) -> bool:
        """Whether responses to anonymous callers may be stored: no, they may register a person."""
        return False

    @property
    def identifying_headers(self) -> tuple[str, ...]:
        """Headers that name the caller: responses to such requests must not be stored."""
        return ("Authorization",)
