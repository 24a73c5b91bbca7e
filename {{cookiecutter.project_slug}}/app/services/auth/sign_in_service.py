from collections.abc import Sequence
from typing import Final, NamedTuple

from pydantic import SecretStr

from app.core.config import Settings
from app.core.database import Database
from app.core.http.client_info import ClientInfo
from app.core.security.audit import audit
from app.core.security.passwords import place_for_hash, verify_password
from app.exceptions import AuthenticationError
from app.models.user import User
from app.repositories.auth.account_repo import AccountRepository
from app.repositories.user_repo import UserRepository
from app.services.auth.auth_throttle import AuthThrottle
from app.services.auth.login_session_service import BY_PASSWORD, IssuedTokens, LoginSessionService

_REFUSED: Final = "Wrong e-mail address or password"
_REFUSED_OR_UNVERIFIED: Final = f"{_REFUSED}, or the address is not verified yet"


class SignedIn(NamedTuple):
    user: User
    tokens: IssuedTokens


class SignInService:
    """Signs users in.

    It opens its own sessions, so that it holds no connection while it verifies the password: many
    concurrent sign-ins would exhaust the pool.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._throttle = AuthThrottle(database, settings)

    async def sign_in(self, email: str, password: SecretStr, client: ClientInfo) -> SignedIn:
        """Sign a user in, and return the user and the tokens of the new session.

        Raises `UnavailableError` if too many passwords are being checked, which does not count as an attempt,
        `TooManyRequestsError`, and `AuthenticationError` if the account is unknown,
        inactive, not verified or without a password, or if the password is wrong. Neither the
        message nor the time reveals which.
        """
        with place_for_hash(self._settings):
            async with self._database.read() as session:
                user, is_known_address = await AccountRepository(session).find_by_email(
                    email, client.address
                )
            await self._throttle.count_password_attempt(
                user.email if user else email, client, from_known_address=is_known_address
            )
            hashed_password = user.hashed_password if user and self._may_sign_in(user) else None
            matches, new_hash = await verify_password(password, hashed_password, self._settings)
        signed_in = None
        if matches and user:
            methods = await self.require_second_factor(user)
            if methods is not None:
                signed_in = await self._start_session(user, new_hash, methods, client)
        if signed_in is None:
            audit("sign_in_failed", user_id=user.id if user else None, address=client.address)
            raise AuthenticationError(
                _REFUSED_OR_UNVERIFIED if self._settings.require_verified_email else _REFUSED
            )
        await self._throttle.reset(signed_in.user.email, client)
        return signed_in

    async def require_second_factor(self, user: User) -> Sequence[str] | None:  # noqa: ARG002
        """Return how the user has signed in (RFC 8176), after the password was verified.

        A second factor goes here: return its method too, or None to refuse it like a wrong
        password, with the same audit event and limits. No connection is held meanwhile. The access
        tokens of the session have the result as `amr`.
        """
        return BY_PASSWORD

    def _may_sign_in(self, user: User) -> bool:
        return user.is_active and (
            user.is_email_verified or not self._settings.require_verified_email
        )

    async def _start_session(
        self, user: User, new_hash: str | None, methods: Sequence[str], client: ClientInfo
    ) -> SignedIn | None:
        """Start a session, unless tokens were revoked while the password was verified."""
        async with self._database.transaction() as session:
            users = UserRepository(session)
            locked = await users.get_for_update(user.id)
            if locked is None or locked.token_generation != user.token_generation:
                return None
            if not self._may_sign_in(locked):
                return None
            if new_hash:
                await users.update(locked, {"hashed_password": new_hash})
            login_sessions = LoginSessionService(session, self._settings)
            tokens = await login_sessions.start(locked, client, methods)
        audit("sign_in", user_id=user.id, address=client.address)
        return SignedIn(locked, tokens)
