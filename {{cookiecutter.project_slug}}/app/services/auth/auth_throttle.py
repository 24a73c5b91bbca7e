import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from app.core.config import Settings
from app.core.database import Database
from app.core.http.client_info import ClientInfo
from app.core.security.audit import audit
from app.exceptions import TooManyRequestsError
from app.services.auth.rate_limit_service import Limit, RateLimitService

_PASSWORD_SECONDS: Final = 15 * 60
_MAIL_SECONDS: Final = 60 * 60

# The limit for an account from all unknown addresses, as a multiple of that for one address.
_ACCOUNT_FACTOR: Final = 10


def _account(email: str) -> str:
    """Normalize an e-mail address, so that all spellings of an account share a limit."""
    return unicodedata.normalize("NFKC", email).casefold()


@contextmanager
def _audited(client: ClientInfo) -> Iterator[None]:
    try:
        yield
    except TooManyRequestsError:
        audit("too_many_attempts", address=client.address)
        raise


class AuthThrottle:
    """Limits of password attempts and of mail requests, for existing and unknown accounts alike.

    It counts in transactions of its own, so call it before the request holds a connection.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self._limits = RateLimitService(database)
        by_account, by_address = (
            settings.password_tries_per_account,
            settings.password_tries_per_address,
        )
        self._by_account_and_address = Limit(
            "password by account and address", by_account, _PASSWORD_SECONDS
        )
        self._by_address = Limit("password by address", by_address, _PASSWORD_SECONDS)
        self._by_account = Limit(
            "password by account", by_account * _ACCOUNT_FACTOR, _PASSWORD_SECONDS
        )
        self._mails_to = Limit("mail by account", settings.mails_per_account, _MAIL_SECONDS)
        self._mails_by = Limit("mail by address", settings.mails_per_address, _MAIL_SECONDS)

    async def count_password_attempt(
        self, email: str, client: ClientInfo, *, from_known_address: bool
    ) -> None:
        """Count a password attempt, before the password is verified.

        The limit of the account across all addresses does not apply to a known address, at which
        the account is signed in, so that attackers cannot lock the owner out. Raises
        `TooManyRequestsError`.
        """
        with _audited(client):
            await self._limits.hit(self._by_address, client.network)
            await self._limits.hit(self._by_account_and_address, _account(email), client.network)
            if not from_known_address:
                await self._limits.hit(self._by_account, _account(email))

    async def count_mail_request(self, email: str, client: ClientInfo) -> None:
        """Count a request for a mail to `email`. Raises `TooManyRequestsError`."""
        with _audited(client):
            await self._limits.hit(self._mails_by, client.network)
            await self._limits.hit(self._mails_to, _account(email))

    async def reset(self, email: str, client: ClientInfo) -> None:
        """Reset the counter of the account and the client after a correct password."""
        await self._limits.reset(self._by_account_and_address, _account(email), client.network)

    async def reset_account(self, email: str) -> None:
        """Reset the counter of the account across addresses after the password was reset."""
        await self._limits.reset(self._by_account, _account(email))
