from collections.abc import Awaitable, Callable
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.http.client_info import ClientInfo
from app.core.jobs.queue import JobQueue
from app.schemas.auth.mail_jobs import SendLink
from app.services.auth.auth_throttle import AuthThrottle


class RequestedMails:
    """Mails that anyone may request. The job that sends them looks for the account.

    So neither the content nor the time of the response reveals whether there is one.
    """

    def __init__(
        self, open_session: Callable[[], Awaitable[AsyncSession]], throttle: AuthThrottle
    ) -> None:
        self._open_session = open_session
        self._throttle = throttle

    async def request(
        self, email: str, purpose: Literal["password_reset", "verify_email"], client: ClientInfo
    ) -> None:
        """Have a link sent, if there is an account. Raises `TooManyRequestsError`."""
        await self._throttle.count_mail_request(purpose, email, client)
        link = SendLink(email=email, purpose=purpose, limited=True, address=client.address)
        await JobQueue(await self._open_session()).enqueue(link)
