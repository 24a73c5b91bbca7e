from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.database import Database
from app.core.http.client_info import ClientInfo
from app.core.security.audit import audit
from app.exceptions import TooManyRequestsError
from app.models.user import User
from app.services.auth.rate_limit_service import Limit, RateLimitService, count_hit

# The purposes of requested mails. Each has a limit of its own, so that requests that send nothing,
# such as to verify an account that is verified, do not keep users from resetting a password.
MailPurpose = Literal[
    "registration", "verify_email", "password_reset", "change_email", "notification"
]
MailRequest = MailPurpose  # the name until 0.4, for projects that import it; goes in 0.6

_PASSWORD_SECONDS: Final = 15 * 60
_MAIL_SECONDS: Final = 60 * 60

# The limits for an account from all IP addresses, as a multiple of those for one of them.
_ACCOUNT_FACTOR: Final = 10


@contextmanager
def _audited(client: ClientInfo) -> Iterator[None]:
    try:
        yield
    except TooManyRequestsError:
        audit("too_many_attempts", address=client.address)
        raise


class AuthThrottle:
    """Limits of password attempts and of mail requests, for existing and unknown accounts alike.

    It counts in transactions of its own, so call it before the request holds a connection. The
    exceptions are `count_mail` and `count_notification`.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self._limits = RateLimitService(database)
        self._sends_mail = settings.mail_delivery != "none"
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
        self._mails_by = Limit("mail by address", settings.mails_per_address, _MAIL_SECONDS)
        self._mails_by_account_and_address = Limit(
            "mail by account and address", settings.mails_per_account, _MAIL_SECONDS
        )
        self._mails_to = Limit(
            "mail by account", settings.mails_per_account * _ACCOUNT_FACTOR, _MAIL_SECONDS
        )

    async def count_password_attempt(
        self, email: str, client: ClientInfo, *, from_known_address: bool
    ) -> None:
        """Count a password attempt, before the password is verified.

        `email` is the account's, or the one that was typed if there is no account. Both count alike, so that
        a limit does not change when an account is created. The limit of the account across all IP
        addresses does not apply to those at which the account is signed in, so that attackers
        cannot lock the owner out. Raises `TooManyRequestsError`.
        """
        with _audited(client):
            await self._limits.hit(self._by_address, client.network)
            await self._limits.hit(self._by_account_and_address, email, client.network)
            if not from_known_address:
                await self._limits.hit(self._by_account, email)

    async def count_request(self, client: ClientInfo) -> None:
        """Count a request for its client only. Raises `TooManyRequestsError`."""
        with _audited(client):
            await self._limits.hit(self._mails_by, client.network)

    async def count_mail_request(
        self, purpose: MailPurpose, email: str, client: ClientInfo
    ) -> None:
        """Count a request for a mail to `email`, before it is known whether there will be one.

        Clients at other IP addresses cannot exhaust this limit. Raises `TooManyRequestsError`.
        """
        await self.count_request(client)
        with _audited(client):
            await self._limits.hit(
                self._mails_by_account_and_address, purpose, email, client.network
            )

    async def count_mail(
        self, session: AsyncSession, purpose: MailPurpose, email: str, client: ClientInfo
    ) -> None:
        """Count a mail, which is sent if the session's transaction commits.

        This limit protects a mailbox from requests of many clients. Call it last, because the
        transaction locks the counter. Each purpose has a limit of its own: other mails
        neither use up the limit of password resets, nor does a used-up limit reveal mails that only
        accounts get. Raises `TooManyRequestsError`; where the response must not reveal whether there
        is an account, catch that.
        """
        with _audited(client):
            await count_hit(session, self._mails_to, purpose, email)

    async def count_notification_request(self, user: User, client: ClientInfo) -> None:
        """Count a request of which a user is notified, unless the e-mail address is verified.

        Until then the mailbox may be somebody else's. Raises `TooManyRequestsError`.
        """
        if self._counts_notifications_to(user):
            await self.count_mail_request("notification", user.email, client)

    async def count_notification(
        self, session: AsyncSession, user: User, client: ClientInfo
    ) -> None:
        """Count a notification, as `count_mail` does, unless the e-mail address is verified."""
        if self._counts_notifications_to(user):
            await self.count_mail(session, "notification", user.email, client)

    def _counts_notifications_to(self, user: User) -> bool:
        return self._sends_mail and not user.is_email_verified

    async def reset(self, email: str, client: ClientInfo) -> None:
        """Reset the counter of the account and the client after a correct password."""
        await self._limits.reset(self._by_account_and_address, email, client.network)

    async def reset_account(self, email: str) -> None:
        """Reset the counter of the account across IP addresses after the password was reset."""
        await self._limits.reset(self._by_account, email)
