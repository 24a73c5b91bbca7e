from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.http.client_info import ClientInfo
from app.core.jobs.queue import JobQueue
from app.core.security.audit import audit_on_commit
from app.exceptions import InvalidTokenError, PermissionError
from app.models.user import User
from app.repositories.auth.account_repo import AccountRepository
from app.repositories.user_repo import UserRepository
from app.schemas.auth.mail_jobs import SendChangeLink, SendLink, SendNotice
from app.services.auth.admin_notices import notify_admins
from app.services.auth.auth_throttle import AuthThrottle
from app.services.auth.one_time_token_service import OneTimeTokenService
from app.services.auth.password_service import PasswordService
from app.services.permissions import Caller


class EmailChange(NamedTuple):
    """The values to write, and the user's current address if a new one was requested."""

    values: Mapping[str, Any]
    old_email: str | None = None


class EmailService:
    """Changes of e-mail addresses.

    If mail can be delivered, a user's own new address is pending until it is confirmed. Until then the
    old one stays. So no account is looked up, and a taken address gets the same response as a free one.
    An administrator changes another user's address at once, because the user may have lost both the old
    mailbox and the password.
    """

    def __init__(
        self,
        session: AsyncSession,
        caller: Caller,
        settings: Settings,
        passwords: PasswordService,
        throttle: AuthThrottle,
    ) -> None:
        self._session = session
        self._caller = caller
        self._users = UserRepository(session)
        self._one_time_tokens = OneTimeTokenService(session, settings)
        self._settings = settings
        self._passwords = passwords
        self._throttle = throttle
        self._jobs = JobQueue(session)

    async def authorize_change(
        self,
        user_id: int,
        values: Mapping[str, Any],
        current_password: SecretStr | None,
        client: ClientInfo,
    ) -> EmailChange:
        """Return what to write for the values of a request, which may include an address.

        Callers who change their own address need their password, because the owner of the address
        can reset the password: a stolen access token must not be enough for that. The current
        address cancels a pending change. Raises `PermissionError` and `TooManyRequestsError`.
        """
        if "email" not in values:
            return EmailChange(values)
        if self._caller.id != user_id:
            user = await self._users.get_by_id(user_id)
            return EmailChange(values, user.email if user else None)
        email, old_email = values["email"], self._caller.email
        others = {name: value for name, value in values.items() if name != "email"}
        if email == old_email:
            # Another address may have been confirmed meanwhile: this one must not replace it.
            return EmailChange(others | {"pending_email": None})
        if current_password is None:
            raise PermissionError("Changing your e-mail address requires current_password")
        await self._passwords.require_current(self._caller, current_password, client)
        if self._settings.mail_delivery == "none":
            return EmailChange(values, old_email)
        await self._throttle.count_mail_request("change_email", email, client)
        await self._throttle.count_notification_request(self._caller, client)
        return EmailChange(others | {"pending_email": email}, old_email)

    async def follow_change(self, user: User, change: EmailChange, client: ClientInfo) -> None:
        """Send the mails of a change, and revoke what was sent to an address that is replaced.

        Notifies the old address when a change is requested and when it is made. Raises
        `TooManyRequestsError`.
        """
        if change.old_email is None:
            return
        if self._caller.id == user.id:
            self._require_unchanged(user)
        if change.values.get("pending_email"):
            # The job makes the new link later. Until then the previous link would confirm this
            # address, although it was sent to another one.
            await self._one_time_tokens.revoke_change(user)
            self._audit("email_change_requested", user)
            await self._jobs.enqueue(
                SendNotice(template="email_change_requested", to=user.email),
                SendChangeLink(user_id=user.id),
            )
            await self._throttle.count_notification(self._session, user, client)
            await self._throttle.count_mail(
                self._session, "change_email", change.values["pending_email"], client
            )
        elif user.email != change.old_email:
            await self._one_time_tokens.revoke_all(user)
            await self._users.update(user, {"is_email_verified": False, "pending_email": None})
            self._audit("email_changed", user)
            await self._jobs.enqueue(SendNotice(template="email_changed", to=change.old_email))
            if self._caller.id != user.id:
                await self._notify_admins(user)
            if self._settings.require_verified_email:
                await self._jobs.enqueue(SendLink(email=user.email, purpose="verify_email"))

    def _require_unchanged(self, user: User) -> None:
        """Raise `InvalidTokenError` if the caller's tokens or address changed since they were read.

        While the password was verified, somebody may have ended the sessions of a thief, or replaced
        the address.
        """
        is_caller = (
            user.is_active
            and user.token_generation == self._caller.token_generation
            and (user.email == self._caller.email or self._settings.mail_delivery == "none")
        )
        if not is_caller:
            raise InvalidTokenError("The account has changed meanwhile; sign in again")

    async def _notify_admins(self, user: User) -> None:
        await notify_admins(
            self._jobs,
            (await AccountRepository(self._session).active_admins()).values(),
            change="changed the e-mail address of",
            user_id=user.id,
            actor_id=self._caller.id,
        )

    def _audit(self, event: str, user: User) -> None:
        audit_on_commit(self._session, event, user_id=user.id, actor_id=self._caller.id)
