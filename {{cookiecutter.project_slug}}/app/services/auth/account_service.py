from collections.abc import Callable, Mapping
from typing import Any

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.http.client_info import ClientInfo
from app.models.user import User
from app.services.auth.access_service import AccessService
from app.services.auth.email_service import EmailService
from app.services.auth.password_service import PasswordService
from app.services.permissions import Caller, require_owner_or_admin
from app.services.user_service import UserService


class AccountService:
    """Changes and deletions of accounts, with the rules that auth adds to those of users."""

    def __init__(
        self,
        session: AsyncSession,
        caller: Caller,
        emails: EmailService,
        access: AccessService,
        passwords: PasswordService,
        require_fresh_sign_in: Callable[[], None],
    ) -> None:
        self._caller = caller
        self._passwords = passwords
        self._require_fresh_sign_in = require_fresh_sign_in
        self._users = UserService(session, caller)
        self._emails = emails
        self._access = access

    async def update(
        self,
        user_id: int,
        values: Mapping[str, Any],
        current_password: SecretStr | None,
        if_match: frozenset[int] | None,
        client: ClientInfo,
    ) -> User:
        """Change the columns of a user. A new e-mail address may have to be confirmed first.

        Changing another user's address requires a fresh sign-in or the caller's password. Raises
        `SignInNotFreshError`, and as `UserService.update_user` and `EmailService.authorize_change` do.
        """
        if values.get("email") is not None and user_id != self._caller.id:
            require_owner_or_admin(self._caller, user_id)
            if current_password is None:
                self._require_fresh_sign_in()
            else:
                await self._passwords.require_current(self._caller, current_password, client)
        change = await self._emails.authorize_change(user_id, values, current_password, client)
        user = await self._users.update_user(user_id, change.values, if_match)
        await self._emails.follow_change(user, change, client)
        return user

    async def delete(self, user_id: int, if_match: frozenset[int] | None) -> None:
        """Delete a user and what belongs to them.

        Raises as `UserService.delete_user` and `AccessService.authorize_deletion` do.
        """
        await self._access.authorize_deletion(user_id)
        await self._users.delete_user(user_id, if_match)
