from collections.abc import Callable

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.http.client_info import ClientInfo
from app.core.mail.message import Mail, compose
from app.core.security.audit import audit_on_commit
from app.exceptions import PermissionError
from app.models.user import User
from app.repositories.auth.account_repo import AccountRepository
from app.repositories.user_repo import UserRepository
from app.services.auth.admin_notices import notify_admins
from app.services.auth.one_time_token_service import OneTimeTokenService
from app.services.auth.password_service import PasswordService
from app.services.permissions import Caller, require_signed_in


class EmailService:
    """Changes and verification of e-mail addresses."""

    def __init__(
        self,
        session: AsyncSession,
        settings: Settings,
        passwords: PasswordService,
        send_mail: Callable[[Mail], None],
        caller: Caller | None = None,
    ) -> None:
        self._session = session
        self._caller = caller
        self._users = UserRepository(session)
        self._one_time_tokens = OneTimeTokenService(session, settings)
        self._settings = settings
        self._passwords = passwords
        self._send_mail = send_mail

    async def authorize_change(
        self,
        user_id: int,
        email: str | None,
        current_password: SecretStr | None,
        client: ClientInfo,
    ) -> str | None:
        """Return the current address if `email` may replace it, or None if there is no new one.

        Callers who change their own address need their password, because the owner of the address
        can reset the password: a stolen access token must not be enough for that. Raises
        `PermissionError` and `TooManyRequestsError`.
        """
        if email is None:
            return None
        caller = require_signed_in(self._caller)
        if caller.id != user_id:
            user = await self._users.get_by_id(user_id)
            return user.email if user else None
        if email != caller.email:
            if current_password is None:
                raise PermissionError("Changing your e-mail address requires current_password")
            await self._passwords.require_current(caller, current_password, client)
        return caller.email

    async def follow_change(self, user: User, old_email: str | None) -> None:
        """Revoke the tokens sent to the old address, notify it, and have the new one verified."""
        if old_email is None or user.email.lower() == old_email.lower():
            return
        actor_id = require_signed_in(self._caller).id
        await self._one_time_tokens.revoke_all(user)
        await self._users.update(user, {"is_email_verified": False})
        audit_on_commit(self._session, "email_changed", user_id=user.id, actor_id=actor_id)
        self._send_mail(compose("email_changed", old_email))
        if actor_id != user.id:
            notify_admins(
                self._send_mail,
                (await AccountRepository(self._session).active_admins()).values(),
                change="changed the e-mail address of",
                user_id=user.id,
                actor_id=actor_id,
            )
        if self._settings.require_verified_email:
            mail = await self._one_time_tokens.create_mail(user.email, "verify_email")
            if mail:
                self._send_mail(mail)

    async def verify(self, token: str) -> None:
        """Mark an address as verified. Raises `PermissionError` if the token is not valid."""
        user = await self._one_time_tokens.redeem(token, "verify_email")
        await self._users.update(user, {"is_email_verified": True})
        audit_on_commit(self._session, "email_verified", user_id=user.id)
