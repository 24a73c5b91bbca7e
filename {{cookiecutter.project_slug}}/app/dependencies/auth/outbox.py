"""Mails of a request, sent after its transaction has committed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Final, ParamSpec

from fastapi import BackgroundTasks, Depends, Request

from app.core.mail.mailer import Mailer, MailError
from app.core.mail.message import Mail
from app.exceptions import UnavailableError, explain

P = ParamSpec("P")

_logger: Final = logging.getLogger(__name__)

# Delays between attempts, in seconds: a minute in total, for servers that restart or greylist.
_DELAYS: Final = (1, 4, 15, 40)


class Outbox:
    """Collects the mails of a request.

    They are sent in background tasks: after the response, and so after the commit, and not at all
    if the request fails. They are kept in memory, so a process that ends loses the pending ones.
    Links can be requested again; lost notifications cannot.
    """

    def __init__(self, mailer: Mailer, background: BackgroundTasks) -> None:
        self._mailer = mailer
        self._background = background

    def add(self, mail: Mail) -> None:
        self._background.add_task(deliver, self._mailer, mail)

    def add_deferred(
        self, create: Callable[P, Awaitable[Mail | None]], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Create and send a mail after the response, unless `create` returns None."""
        self._background.add_task(self._create_and_deliver, partial(create, *args, **kwargs))

    async def _create_and_deliver(self, create: Callable[[], Awaitable[Mail | None]]) -> None:
        try:
            mail = await create()
        except UnavailableError as error:
            _logger.error("a mail could not be created: %s", explain(error))
            return
        if mail:
            await deliver(self._mailer, mail)


async def get_outbox(request: Request, background: BackgroundTasks) -> Outbox:
    return Outbox(request.app.state.mailer, background)


OutboxDep = Annotated[Outbox, Depends(get_outbox)]


async def deliver(mailer: Mailer, mail: Mail) -> None:
    """Send a mail, in up to five attempts within about a minute. Failures are logged, never raised.

    The log identifies the mail by its id, without its text and address.
    """
    for delay in (*_DELAYS, None):
        try:
            await mailer.send(mail)
        except MailError as error:
            if delay is None or error.is_final:
                _logger.error("mail %s was given up: %s", mail.id, error)
                return
            _logger.warning("mail %s was not sent, retrying in %s s: %s", mail.id, delay, error)
            await asyncio.sleep(delay)
        else:
            _logger.info("mail %s was sent", mail.id)
            return
