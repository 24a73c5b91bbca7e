"""Settings of how callers are identified: by access tokens."""

from app.core.security.settings import AuthSettings


class CallerSettings(AuthSettings):
    """Settings of accounts."""

    @property
    def digest_keys(self) -> tuple[bytes, ...]:
        """Keys of the digests that the database stores of requests, the current one first.

        Without the key nobody can guess a password in a request by its digest.
        """
        keys = (self.secret_key, self.secret_key_previous)
        return tuple(key.get_secret_value().encode() for key in keys if key)

    @property
    def stores_responses_to_anyone(self) -> bool:
        """Whether responses to anonymous callers may be stored: no, for they may register a person."""
        return False

    @property
    def identifying_headers(self) -> tuple[str, ...]:
        """Headers that name the caller: responses to such requests are not to be stored."""
        return ("Authorization",)
