from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.mail.message import Mail, compose
from app.core.security.audit import audit_on_commit
from app.core.security.tokens import create_one_time_token, digest_of
from app.exceptions import PermissionError
from app.models.user import User
from app.repositories.auth.account_repo import AccountRepository
from app.repositories.auth.one_time_token_repo import OneTimeTokenRepository, Purpose
from app.repositories.user_repo import UserRepository

# The lifetime of a token, and its name in mails.
_LIFETIMES: Final[dict[Purpose, tuple[timedelta, str]]] = {
    "password_reset": (timedelta(hours=1), "an hour"),
    "verify_email": (timedelta(days=2), "two days"),
    "change_email": (timedelta(days=2), "two days"),
    "invitation": (timedelta(days=7), "a week"),
}
# Pages of the frontend, which send the token in the body of a request.
_PAGES: Final[dict[Purpose, str]] = {
    "password_reset": "password-reset",
    "verify_email": "verify-email",
    "change_email": "verify-email",
    "invitation": "register",
}
_PRUNED_AT_ONCE: Final = 10_000
_REFUSED: Final = "The link has expired, was used before or was replaced by a newer one"


class OneTimeTokenService:
    """One-time tokens, which are sent by mail."""

    def __init__(self, session: AsyncSession, settings: Settings) -> None:
        self._session = session
        self._tokens = OneTimeTokenRepository(session)
        self._users = UserRepository(session)
        self._settings = settings

    async def create_mail(
        self,
        email: str,
        purpose: Purpose,
        template: str,
        *,
        address: str | None = None,
        audits: bool = True,
    ) -> Mail | None:
        """Return a mail with a new token, or None if no account can use the token.

        The mail goes to the stored e-mail address, not to the one that was typed. `address` is the IP
        address of the client that requested it.
        """
        token = create_one_time_token()
        expires_at = self._expiry(purpose)
        to = await self._tokens.issue_to_user(email, purpose, digest_of(token), expires_at)
        if to is None:
            return None
        if audits:
            event = f"{purpose}_requested"
            audit_on_commit(self._session, event, user_id=to.user_id, address=address)
        return self._compose(template, to.email, purpose, token)

    async def create_invitation(self, email: str) -> Mail:
        """Return a mail with a token for registering with this e-mail address."""
        token = create_one_time_token()
        expires_at = self._expiry("invitation")
        await self._tokens.issue_to_email(email, "invitation", digest_of(token), expires_at)
        return self._compose("invitation", email, "invitation", token)

    async def create_change_mail(self, user_id: int) -> Mail | None:
        """Return a mail to the pending e-mail address of a user, with a new token that confirms it.

        None if no address is pending. Locks the user, so that the address is not replaced
        meanwhile.
        """
        user = await self._users.get_for_update(user_id)
        if user is None or user.pending_email is None:
            return None
        token = create_one_time_token()
        digest, expires_at = digest_of(token), self._expiry("change_email")
        await self._tokens.issue_to_email(user.email, "change_email", digest, expires_at, user.id)
        return self._compose("change_email", user.pending_email, "change_email", token)

    async def require_user(self, token: str, *purposes: Purpose) -> User:
        """Return the user of a token for one of the purposes. Redeeming it may still fail.

        Raises `PermissionError` if the token is not valid.
        """
        recipient = await self._tokens.find(digest_of(token), purposes, datetime.now(UTC))
        user = None
        if recipient and recipient.user_id:
            user = await self._users.get_by_id(recipient.user_id)
        if user is None:
            raise PermissionError(_REFUSED)
        return user

    async def redeem(self, token: str, *purposes: Purpose) -> tuple[User, str]:
        """Consume a token for one of the purposes, and return its user and its purpose.

        The user is locked until the transaction ends. Raises `PermissionError` if the token is not
        valid, or if the user's e-mail address has changed.
        """
        recipient = await self._tokens.consume(digest_of(token), purposes, datetime.now(UTC))
        user = None
        if recipient and recipient.user_id:
            user = await self._users.get_for_update(recipient.user_id)
        if user is None or recipient is None or not user.is_active or user.email != recipient.email:
            raise PermissionError(_REFUSED)
        return user, recipient.purpose

    async def redeem_invitation(self, token: str, email: str) -> None:
        """Consume an invitation. Raises `PermissionError` unless it was sent to this e-mail address."""
        consumed = await self._tokens.consume(
            digest_of(token), ["invitation"], datetime.now(UTC), email=email
        )
        if consumed is None:
            raise PermissionError(_REFUSED)

    async def revoke_change(self, user: User) -> None:
        """Revoke the token that confirms a user's pending e-mail address."""
        await self._tokens.delete_by_user(user.id, "change_email")

    async def revoke_all(self, user: User) -> None:
        """Revoke all one-time tokens of a user."""
        await self._tokens.delete_by_user(user.id)

    def _expiry(self, purpose: Purpose) -> datetime:
        return datetime.now(UTC) + _LIFETIMES[purpose][0]

    def _compose(self, template: str, to: str, purpose: Purpose, token: str) -> Mail:
        # In the fragment, which browsers send neither to servers nor in the Referer header.
        link = f"{self._settings.frontend_url}/{_PAGES[purpose]}#token={token}"
        return compose(template, to, link=link, lifetime=_LIFETIMES[purpose][1])


class OneTimeTokenMaintenance:
    """The part of `app prune` for one-time tokens."""

    def __init__(self, session: AsyncSession) -> None:
        self._tokens = OneTimeTokenRepository(session)
        self._accounts = AccountRepository(session)

    async def prune(self, now: datetime) -> int:
        """Delete a batch of the tokens that have expired by `now`, and return the number.

        When none is left, forgets the pending e-mail addresses that nobody has confirmed in time,
        and returns 0.
        """
        deleted = await self._tokens.delete_expired(now, _PRUNED_AT_ONCE)
        if not deleted:
            await self._accounts.forget_pending_emails(now - _LIFETIMES["change_email"][0])
        return deleted
