from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.database import Database
from app.core.http.client_info import ClientInfo
from app.core.mail.message import Mail
from app.exceptions import TooManyRequestsError
from app.schemas.auth.mail_jobs import SendLink
from app.services.auth.auth_throttle import AuthThrottle
from app.services.auth.one_time_token_service import OneTimeTokenService


class LinkMails:
    """Mails with a link, written by the job that sends them. So no valid token waits in the queue."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._throttle = AuthThrottle(database, settings)

    async def to_account(
        self, wanted: SendLink, claim: Callable[[AsyncSession], Awaitable[bool]]
    ) -> Mail | None:
        """Return a mail with a new link, or None if no account can use it.

        Also None if too many mails were sent to the account. The link of the last one then stays
        valid. However many attempts a mail takes, it is counted and audited once: in the
        transaction that may `claim` its job.
        """
        try:
            async with self._database.transaction() as session:
                is_first = await claim(session)
                tokens = OneTimeTokenService(session, self._settings)
                mail = await tokens.create_mail(
                    wanted.email,
                    wanted.purpose,
                    wanted.template or wanted.purpose,
                    address=wanted.address,
                    audits=is_first,
                )
                if mail and wanted.limited and is_first:
                    client = ClientInfo(wanted.address or "", "")
                    await self._throttle.count_mail(session, wanted.purpose, mail.to, client)
                return mail
        except TooManyRequestsError:
            return None
