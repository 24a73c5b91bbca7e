from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.jobs.queue import JobQueue
from app.core.security.audit import audit_on_commit
from app.exceptions import LastAdminError, PermissionError
from app.models.user import User
from app.repositories.auth.account_repo import AccountRepository
from app.repositories.auth.one_time_token_repo import OneTimeTokenRepository
from app.repositories.user_repo import UserRepository
from app.schemas.auth.mail_jobs import SendInvitation
from app.services.auth.admin_notices import notify_admins
from app.services.auth.revocation_service import RevocationService
from app.services.permissions import ADMIN_ONLY, OWNER_OR_ADMIN_ONLY, Caller, require_owner_or_admin
from app.services.rows import require_found, require_version

_LAST: Final = "The last active administrator cannot be removed"
_ACTIVATION: Final = {True: "reactivated", False: "deactivated"}


class AccessService:
    """Changes of access: invitations, roles, deactivation, deletion, and the sessions of others."""

    def __init__(self, session: AsyncSession, caller: Caller) -> None:
        self._session = session
        self._jobs = JobQueue(session)
        self._caller = caller
        self._accounts = AccountRepository(session)
        self._users = UserRepository(session)
        self._revocation = RevocationService(session)
        self._tokens = OneTimeTokenRepository(session)

    async def invite(self, email: str) -> None:
        """Have an invitation sent to this e-mail address, and revoke an earlier one."""
        await self._tokens.delete_by_email(email, "invitation")
        await self._jobs.enqueue(SendInvitation(email=email))
        audit_on_commit(self._session, "invitation_sent", actor_id=self._caller.id)

    async def change(
        self, user_id: int, values: Mapping[str, Any], if_match: frozenset[int] | None
    ) -> User:
        """Change a user's role, deactivate or reactivate them, and revoke all their tokens.

        Raises `NotFoundError`, `VersionMismatchError`, `PermissionError` if the caller is no longer
        an administrator, and `LastAdminError` if no active administrator would be left.
        """
        administrators = await self._accounts.active_admins(lock=True)
        if self._caller.id not in administrators:
            raise PermissionError(ADMIN_ONLY)
        user = require_found(await self._users.get_for_update(user_id), f"User {user_id}")
        require_version(user, if_match)
        changes = {name: value for name, value in values.items() if getattr(user, name) != value}
        if not changes:
            return user
        if list(administrators) == [user.id]:
            raise LastAdminError(_LAST)
        user = await self._revocation.update_and_revoke_all(user, changes)
        for name, value in changes.items():
            change = f"given the role {value} to" if name == "role" else _ACTIVATION[value]
            await self._notify(administrators, change, user.id)
            event = "role_changed" if name == "role" else "reactivated" if value else "deactivated"
            audit_on_commit(
                self._session, event, user_id=user.id, actor_id=self._caller.id, outcome=str(value)
            )
        return user

    async def sign_out(self, user_id: int) -> None:
        """End all sessions of a user, and revoke all of their tokens. Raises `NotFoundError`."""
        user = require_found(await self._users.get_for_update(user_id), f"User {user_id}")
        await self._revocation.update_and_revoke_all(user, {})
        audit_on_commit(
            self._session, "signed_out_everywhere", user_id=user_id, actor_id=self._caller.id
        )

    async def authorize_deletion(self, user_id: int) -> None:
        """Check that the caller may delete a user.

        Raises `PermissionError`, also if the caller is no longer an administrator, and
        `LastAdminError` if no active administrator would be left.
        """
        require_owner_or_admin(self._caller, user_id)
        if self._caller.is_admin:
            administrators = await self._accounts.active_admins(lock=True)
            if self._caller.id not in {*administrators, user_id}:
                raise PermissionError(OWNER_OR_ADMIN_ONLY)
            if list(administrators) == [user_id]:
                raise LastAdminError(_LAST)
            await self._notify(administrators, "deleted", user_id)
        audit_on_commit(self._session, "user_deleted", user_id=user_id, actor_id=self._caller.id)

    async def _notify(self, administrators: Mapping[int, str], change: str, user_id: int) -> None:
        await notify_admins(
            self._jobs,
            administrators.values(),
            change=change,
            user_id=user_id,
            actor_id=self._caller.id,
        )
