from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.database import Database
from app.core.http.client_info import ClientInfo
from app.core.jobs.queue import JobQueue
from app.core.security.audit import audit
from app.core.security.breaches import require_not_breached
from app.core.security.passwords import hash_password, place_for_hash, verify_password
from app.core.security.policy import require_acceptable, require_new, unchanged
from app.exceptions import InvalidTokenError, PermissionError
from app.models.user import User
from app.repositories.auth.account_repo import AccountRepository
from app.repositories.user_repo import UserRepository
from app.schemas.auth.mail_jobs import SendNotice
from app.services.auth.auth_service import REVOKED
from app.services.auth.auth_throttle import AuthThrottle
from app.services.auth.login_session_service import IssuedTokens, LoginSessionService
from app.services.auth.one_time_token_service import OneTimeTokenService
from app.services.auth.revocation_service import RevocationService
from app.services.permissions import Caller, require_signed_in


class PasswordService:
    """Changes and resets of passwords. It holds no connection while it hashes one.

    A change needs a caller; a reset does not.
    """

    def __init__(
        self, database: Database, settings: Settings, caller: Caller | None = None
    ) -> None:
        self._database = database
        self._caller = caller
        self._settings = settings
        self._throttle = AuthThrottle(database, settings)

    async def require_current(
        self,
        user: User,
        password: SecretStr,
        client: ClientInfo,
        *,
        from_known_address: bool = True,
    ) -> None:
        """Verify the password of a user. Raises `PermissionError` and `TooManyRequestsError`."""
        with place_for_hash(self._settings):
            await self._throttle.count_password_attempt(
                user.email, client, from_known_address=from_known_address
            )
            async with self._database.read() as session:
                hashed_password = await AccountRepository(session).get_hashed_password(user.id)
            found = await verify_password(password, hashed_password, self._settings)
        if not found.matches:
            raise PermissionError("The password is wrong; if you do not know it, reset it")
        await self._throttle.reset(user.email, client)

    async def change(self, current: SecretStr, new: SecretStr, client: ClientInfo) -> IssuedTokens:
        """Change the caller's password, revoke all their tokens, and start a new session.

        Returns the tokens of the session, and notifies the caller by mail. Raises
        `ValidationError` for a password that the policy refuses, `PermissionError`,
        `TooManyRequestsError`, and `InvalidTokenError` if the tokens were revoked meanwhile.
        """
        user = require_signed_in(self._caller)
        about = (user.email, user.display_name)
        require_acceptable(new, self._settings, field="new_password", about=about)
        require_new(new, current, field="new_password")
        await self.require_current(user, current, client)
        await self._throttle.count_notification_request(user, client)
        await require_not_breached(new, self._settings, field="new_password")
        hashed_password = await hash_password(new, self._settings)
        async with self._database.transaction() as session:
            locked = await UserRepository(session).get_for_update(user.id)
            if locked is None or locked.token_generation != user.token_generation:
                raise InvalidTokenError(REVOKED)
            changes = {"hashed_password": hashed_password}
            await RevocationService(session).update_and_revoke_all(locked, changes)
            tokens = await LoginSessionService(session, self._settings).start(locked, client)
            await _notify(session, locked)
            await self._throttle.count_notification(session, locked, client)
        audit("password_changed", user_id=user.id, address=client.address)
        return tokens

    async def reset(self, token: str, new: SecretStr, client: ClientInfo) -> None:
        """Set a new password by the token of a mail, and revoke all of the user's tokens.

        The user is notified by mail. Raises `ValidationError` for a password that the
        policy refuses, and `PermissionError` if the token is not valid.
        """
        user = await self._user_of(token)
        async with self._database.read() as session:
            old = await AccountRepository(session).get_hashed_password(user.id)
        about = (user.email, user.display_name)
        require_acceptable(new, self._settings, field="new_password", about=about)
        await require_not_breached(new, self._settings, field="new_password")
        if (await verify_password(new, old, self._settings)).matches:
            await self._user_of(token)  # raises if another request has redeemed the token meanwhile
            raise unchanged("new_password")
        hashed_password = await hash_password(new, self._settings)
        async with self._database.transaction() as session:
            tokens = OneTimeTokenService(session, self._settings)
            user, _ = await tokens.redeem(token, "password_reset")
            # The token was sent by mail, so it also verifies the e-mail address.
            changes = {"hashed_password": hashed_password, "is_email_verified": True}
            await RevocationService(session).update_and_revoke_all(user, changes)
            await _notify(session, user)
        audit("password_reset", user_id=user.id, address=client.address)
        await self._throttle.reset(user.email, client)
        await self._throttle.reset_account(user.email)

    async def _user_of(self, token: str) -> User:
        """Return the user of a token. Raises `PermissionError` if it is not valid."""
        async with self._database.read() as session:
            tokens = OneTimeTokenService(session, self._settings)
            return await tokens.require_user(token, "password_reset")


async def _notify(session: AsyncSession, user: User) -> None:
    await JobQueue(session).enqueue(SendNotice(template="password_changed", to=user.email))
