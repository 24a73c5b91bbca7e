import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from app.core.config import Settings
from app.core.database import Database
from app.core.http.client import ClientInfo
from app.core.security.audit import audit
from app.exceptions import TooManyRequestsError
from app.services.auth.rate_limit_service import Limit, RateLimitService

_PASSWORD_SECONDS: Final = 15 * 60
_MAIL_SECONDS: Final = 60 * 60

# Guesses from everywhere, in relation to those that one address has.
_ACCOUNT_FACTOR: Final = 10


def _account(email: str) -> str:
    """Return one form of what may find the same account, whether or not there is one."""
    return unicodedata.normalize("NFKC", email).casefold()


@contextmanager
def _audited(client: ClientInfo) -> Iterator[None]:
    try:
        yield
    except TooManyRequestsError:
        audit("too_many_attempts", address=client.address)
        raise


class AuthThrottle:
    """The rules of how often a password may be tried, and a mail be asked for.

    Those of an account hold for known and unknown ones. Each call raises `TooManyRequestsError`.
    They count in transactions of their own: call them before the request has a connection.
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
        """Count a password, before it is looked at.

        Guesses that come from many addresses are limited as well, but only against addresses at
        which the account is not signed in: nobody can lock its owner out.
        """
        with _audited(client):
            await self._limits.hit(self._by_address, client.network)
            await self._limits.hit(self._by_account_and_address, _account(email), client.network)
            if not from_known_address:
                await self._limits.hit(self._by_account, _account(email))

    async def count_mail_request(self, email: str, client: ClientInfo) -> None:
        """Count a mail that somebody wants sent to an address that they name."""
        with _audited(client):
            await self._limits.hit(self._mails_by, client.network)
            await self._limits.hit(self._mails_to, _account(email))

    async def reset(self, email: str, client: ClientInfo) -> None:
        """Begin anew with one who has known the password."""
        await self._limits.reset(self._by_account_and_address, _account(email), client.network)

    async def reset_account(self, email: str) -> None:
        """Begin anew with all, for what they have guessed at is another password now."""
        await self._limits.reset(self._by_account, _account(email))
