from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.http.client import ClientInfo
from app.core.mail.mailer import Mail
from app.core.security.passwords import hash_password
from app.exceptions import PermissionError
from app.models.user import UserRow
from app.repositories.auth.account_repo import AccountRepository
from app.schemas.user import UserCreate
from app.services.auth.auth_throttle import AuthThrottle
from app.services.auth.one_time_token_service import OneTimeTokenService


@dataclass(frozen=True)
class Admission:
    """That somebody may register, and how they will sign in."""

    hashed_password: str
    is_email_verified: bool = False


class RegistrationService:
    """The rules of who may register."""

    def __init__(
        self,
        session: AsyncSession,
        settings: Settings,
        attempts: AuthThrottle,
        post: Callable[[Mail], None],
    ) -> None:
        self._accounts = AccountRepository(session)
        self._tokens = OneTimeTokenService(session, settings)
        self._settings = settings
        self._attempts = attempts
        self._post = post

    async def admit(
        self, data: UserCreate, actor: UserRow | None, client: ClientInfo
    ) -> Admission | None:
        """Let somebody register. None: nobody is told more before they have read their mail.

        Raises `PermissionError` if registration is not open to them or their invitation does not
        count, and `TooManyRequestsError`.
        """
        is_admin = actor is not None and actor.is_admin
        is_blind = self._settings.require_verified_email and not is_admin and not data.invitation
        if not is_admin:
            self._require_open(data)
            await self._attempts.at_mail(data.email, client)
        admission = Admission(
            await hash_password(data.password, self._settings), data.invitation is not None
        )
        if data.invitation:
            await self._tokens.redeem_invitation(data.invitation, data.email)
        if is_blind:
            await self._register_blindly(data, admission)
            return None
        return admission

    async def welcome(self, user: UserRow) -> None:
        """Send a new user the mail that verifies their address, if they need it to sign in."""
        if self._settings.require_verified_email and not user.is_email_verified:
            mail = await self._tokens.mail_to_user(user.email, "verify_email")
            if mail:
                self._post(mail)

    def _require_open(self, data: UserCreate) -> None:
        if self._settings.registration == "closed":
            raise PermissionError("Registration is closed: ask an administrator for an account")
        if self._settings.registration == "invitation" and not data.invitation:
            raise PermissionError("Registration takes an invitation: ask an administrator for one")

    async def _register_blindly(self, data: UserCreate, admission: Admission) -> None:
        """Create the account, or remind its owner of it, by the same statements."""
        is_new = await self._accounts.create_unless_known(
            {
                "email": data.email,
                "display_name": data.display_name,
                "hashed_password": admission.hashed_password,
            }
        )
        # Whoever had the address taken before its owner loses the account by the new password.
        mail = await (
            self._tokens.mail_to_user(data.email, "verify_email")
            if is_new
            else self._tokens.mail_to_user(data.email, "password_reset", "already_registered")
        )
        if mail:
            self._post(mail)
