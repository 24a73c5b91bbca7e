from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.database import Database
from app.core.mail.mailer import Mail, compose
from app.core.security.tokens import digest_of, make_one_time_token
from app.exceptions import PermissionError
from app.models.user import User
from app.repositories.auth.one_time_token_repo import OneTimeTokenRepository, Purpose
from app.repositories.user_repo import UserRepository

# How long a mail may lie in its box. What gives most away lives shortest.
_LIFETIMES: Final[dict[Purpose, tuple[timedelta, str]]] = {
    "password_reset": (timedelta(hours=1), "an hour"),
    "verify_email": (timedelta(days=2), "two days"),
    "invitation": (timedelta(days=7), "a week"),
}
# Pages of the frontend, each of which sends the token on as the body of a request.
_PAGES: Final[dict[Purpose, str]] = {
    "password_reset": "password-reset",
    "verify_email": "verify-email",
    "invitation": "register",
}
_REFUSED: Final = "The link has expired, was used before or was replaced by a newer one"


class OneTimeTokenService:
    """The rules of tokens that are sent by mail."""

    def __init__(self, session: AsyncSession, settings: Settings) -> None:
        self._tokens = OneTimeTokenRepository(session)
        self._users = UserRepository(session)
        self._settings = settings

    async def mail_to_user(
        self, email: str, purpose: Purpose, template: str | None = None
    ) -> Mail | None:
        """Return a mail with a new token, or None if there is no account that could use it.

        It goes to the address that is stored, not to the one that was typed.
        """
        token = make_one_time_token()
        expires_at = self._expiry(purpose)
        stored = await self._tokens.issue_to_user(email, purpose, digest_of(token), expires_at)
        return self._compose(template or purpose, stored, purpose, token) if stored else None

    async def mail_invitation(self, email: str) -> Mail:
        """Return a mail with a token that lets its receiver register with this address."""
        token = make_one_time_token()
        expires_at = self._expiry("invitation")
        await self._tokens.issue_to_stranger(email, "invitation", digest_of(token), expires_at)
        return self._compose("invitation", email, "invitation", token)

    async def require(self, token: str, purpose: Purpose) -> None:
        """Raise `PermissionError` for a token that does not count. A use of it may still fail."""
        if not await self._tokens.find(digest_of(token), purpose, datetime.now(UTC)):
            raise PermissionError(_REFUSED)

    async def redeem(self, token: str, purpose: Purpose) -> User:
        """Use a token up and return its user, locked. Raises `PermissionError`.

        A token dies with the address that it was sent to.
        """
        bearer = await self._tokens.consume(digest_of(token), purpose, datetime.now(UTC))
        user = None
        if bearer and bearer.user_id:
            user = await self._users.get_for_update(bearer.user_id)
        if user is None or bearer is None or not user.is_active or user.email != bearer.email:
            raise PermissionError(_REFUSED)
        return user

    async def redeem_invitation(self, token: str, email: str) -> None:
        """Use an invitation up. Raises `PermissionError` unless it was sent to this address."""
        bearer = await self._tokens.consume(digest_of(token), "invitation", datetime.now(UTC))
        if bearer is None or bearer.email.lower() != email.lower():
            raise PermissionError(_REFUSED)

    def _expiry(self, purpose: Purpose) -> datetime:
        return datetime.now(UTC) + _LIFETIMES[purpose][0]

    def _compose(self, template: str, to: str, purpose: Purpose, token: str) -> Mail:
        # In the fragment, which browsers keep to themselves: no server logs it, no Referer has it.
        link = f"{self._settings.frontend_url}/{_PAGES[purpose]}#token={token}"
        return compose(template, to, link=link, lifetime=_LIFETIMES[purpose][1])


class RequestedMails:
    """Mails that anybody may ask for, made when the answer has been sent.

    So neither the text nor the time of the answer tells whether there is such an account.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    async def make(self, email: str, purpose: Purpose) -> Mail | None:
        """Return a mail with a new token, or None if there is no account that could use it."""
        async with self._database.transaction() as session:
            return await OneTimeTokenService(session, self._settings).mail_to_user(email, purpose)


class OneTimeTokenMaintenance:
    """What `app prune` does for tokens that were sent by mail."""

    def __init__(self, session: AsyncSession) -> None:
        self._tokens = OneTimeTokenRepository(session)

    async def prune(self) -> int:
        """Delete the tokens that have expired, and return how many."""
        return await self._tokens.delete_expired(datetime.now(UTC))
