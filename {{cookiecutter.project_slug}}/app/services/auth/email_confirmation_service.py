from typing import Final

from pydantic import SecretStr

from app.core.config import Settings
from app.core.database import Database
from app.core.http.client_info import ClientInfo
from app.core.jobs.queue import JobQueue
from app.core.security.audit import audit
from app.exceptions import PermissionError
from app.repositories.auth.account_repo import AccountRepository
from app.repositories.auth.one_time_token_repo import Purpose
from app.repositories.user_repo import UserRepository
from app.schemas.auth.mail_jobs import SendNotice
from app.services.auth.one_time_token_service import OneTimeTokenService
from app.services.auth.password_service import PasswordService

_PURPOSES: Final[tuple[Purpose, ...]] = ("verify_email", "change_email")


class EmailConfirmationService:
    """Confirmation of e-mail addresses, by the token of a mail and the password of the account.

    The token shows that somebody reads the mail, and the password that it is their account. Otherwise
    an attacker could register an e-mail address, and its owner would verify the account by a click.
    No connection is held while the password is verified.
    """

    def __init__(self, database: Database, settings: Settings, passwords: PasswordService) -> None:
        self._database = database
        self._settings = settings
        self._passwords = passwords

    async def confirm(self, token: str, password: SecretStr, client: ClientInfo) -> None:
        """Verify the e-mail address of an account, or replace it by the pending one.

        The owner of a replaced address is notified there. Raises `PermissionError` if the token is not
        valid or the password is wrong, `TooManyRequestsError`, and `EmailTakenError` if another
        account has the pending address by now.
        """
        async with self._database.read() as session:
            tokens = OneTimeTokenService(session, self._settings)
            user = await tokens.require_user(token, *_PURPOSES)
            _, is_known = await AccountRepository(session).find_by_email(user.email, client.address)
        await self._passwords.require_current(user, password, client, from_known_address=is_known)
        async with self._database.transaction() as session:
            tokens, users = OneTimeTokenService(session, self._settings), UserRepository(session)
            user, purpose = await tokens.redeem(token, *_PURPOSES)
            old_email, new_email = user.email, user.pending_email
            changes: dict[str, object] = {"is_email_verified": True}
            if purpose == "change_email":
                if new_email is None:
                    raise PermissionError("The change of the address was cancelled")
                await tokens.revoke_all(user)
                changes |= {"email": new_email, "pending_email": None}
                await JobQueue(session).enqueue(SendNotice(template="email_changed", to=old_email))
            await users.update(user, changes)
        if purpose == "verify_email":
            audit("email_verified", user_id=user.id)
        else:
            audit("email_changed", user_id=user.id, actor_id=user.id)
