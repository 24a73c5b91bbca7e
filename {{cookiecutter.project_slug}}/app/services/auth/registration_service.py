from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.http.client_info import ClientInfo
from app.core.jobs.queue import JobQueue
from app.core.security.audit import audit_on_commit
from app.core.security.breaches import require_not_breached
from app.core.security.passwords import hash_password, place_for_hash
from app.core.security.policy import require_acceptable
from app.exceptions import PermissionError
from app.models.user import User
from app.repositories.auth.account_repo import AccountRepository
from app.schemas.auth.mail_jobs import SendLink
from app.services.auth.auth_throttle import AuthThrottle
from app.services.auth.one_time_token_service import OneTimeTokenService
from app.services.permissions import Caller
from app.services.user_service import UserService


class RegistrationService:
    """Registration of accounts.

    It calls `open_session` after it has hashed the password, so that it holds no connection before.
    """

    def __init__(
        self,
        open_session: Callable[[], Awaitable[AsyncSession]],
        caller: Caller | None,
        settings: Settings,
        throttle: AuthThrottle,
    ) -> None:
        self._open_session = open_session
        self._admin_id = caller.id if caller and caller.is_admin else None
        self._is_admin = self._admin_id is not None
        self._settings = settings
        self._throttle = throttle

    async def register(
        self,
        *,
        email: str,
        display_name: str,
        password: SecretStr,
        invitation: str | None,
        client: ClientInfo,
    ) -> User | None:
        """Create an account, and return it or None if registration continues by mail.

        Raises `PermissionError` if registration is not open to the caller or the invitation is not
        valid, `ValidationError` for a password that the policy refuses, `EmailTakenError` if the
        e-mail address is taken, and `TooManyRequestsError`.
        """
        if not self._is_admin:
            self._require_open(invitation)
        about = (email, display_name)
        require_acceptable(password, self._settings, field="password", about=about)
        with place_for_hash(self._settings):
            if not self._is_admin:
                await self._count(email, invitation, client)
            await require_not_breached(password, self._settings, field="password")
            hashed_password = await hash_password(password, self._settings)
        values = {
            "email": email,
            "display_name": display_name,
            "hashed_password": hashed_password,
            "is_email_verified": invitation is not None,
        }
        session = await self._open_session()
        if invitation is not None:
            tokens = OneTimeTokenService(session, self._settings)
            await tokens.redeem_invitation(invitation, email)
        elif self._settings.require_verified_email and not self._is_admin:
            await self._register_blindly(session, values, client)
            await self._throttle.count_mail(session, "registration", email, client)
            return None
        user = await UserService(session).create_user(values)
        self._audit(session, user.id, client)
        if invitation is not None:
            audit_on_commit(session, "invitation_used", user_id=user.id, address=client.address)
        if self._settings.require_verified_email and not user.is_email_verified:
            await JobQueue(session).enqueue(_verification(email))
        return user

    def _require_open(self, invitation: str | None) -> None:
        if self._settings.registration == "closed":
            raise PermissionError("Registration is closed: ask an administrator for an account")
        if self._settings.registration == "invitation" and not invitation:
            raise PermissionError("Registration requires an invitation: ask an administrator")

    async def _count(self, email: str, invitation: str | None, client: ClientInfo) -> None:
        """Count the registration. It counts for the e-mail address as well if it sends a mail."""
        if self._settings.require_verified_email and invitation is None:
            await self._throttle.count_mail_request("registration", email, client)
        else:
            await self._throttle.count_request(client)

    async def _register_blindly(
        self, session: AsyncSession, values: dict[str, Any], client: ClientInfo
    ) -> None:
        """Create the account, or remind its owner of it. Both run the same statements."""
        user_id = await AccountRepository(session).create_if_absent(values)
        if user_id is not None:
            self._audit(session, user_id, client)
        # If another person has registered the e-mail address, its owner takes the account over
        # by a password reset.
        email = values["email"]
        reminder = SendLink(email=email, purpose="password_reset", template="already_registered")
        mail = reminder if user_id is None else _verification(email)
        await JobQueue(session).enqueue(mail)

    def _audit(self, session: AsyncSession, user_id: int, client: ClientInfo) -> None:
        audit_on_commit(
            session, "registered", user_id=user_id, actor_id=self._admin_id, address=client.address
        )


def _verification(email: str) -> SendLink:
    return SendLink(email=email, purpose="verify_email")
