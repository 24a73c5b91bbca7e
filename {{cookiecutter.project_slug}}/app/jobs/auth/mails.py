"""Mails, written when they are sent."""

import logging
from dataclasses import replace
from typing import Any, Final

from app.core.jobs.kinds import FinalError, JobContext, JobKind
from app.core.mail.mailer import Mailer, MailError
from app.core.mail.message import Mail, compose
from app.schemas.auth.mail_jobs import SendChangeLink, SendInvitation, SendLink, SendNotice
from app.services.auth.link_mails import LinkMails

_logger: Final = logging.getLogger(__name__)

# With the delays between them about three hours, for servers that are down or greylist.
_ATTEMPTS: Final = 20


class MailJobs:
    """The handlers of jobs that send mail. Each attempt writes a new link; the last one is valid."""

    def __init__(self, mailer: Mailer) -> None:
        self._mailer = mailer

    def kinds(self) -> tuple[JobKind[Any], ...]:
        """Return the kinds of jobs that send mail."""
        return (
            JobKind(SendNotice, self._send_notice, attempts=_ATTEMPTS),
            JobKind(SendLink, self._send_link, attempts=_ATTEMPTS),
            JobKind(SendChangeLink, self._send_change_link, attempts=_ATTEMPTS),
            JobKind(SendInvitation, self._send_invitation, attempts=_ATTEMPTS),
        )

    async def _send_notice(self, payload: SendNotice, context: JobContext) -> None:
        await self._send(compose(payload.template, payload.to, **payload.values), context)

    async def _send_link(self, payload: SendLink, context: JobContext) -> None:
        mails = LinkMails(context.database, context.settings)
        await self._send(await mails.to_account(payload, is_first=context.attempt == 1), context)

    async def _send_change_link(self, payload: SendChangeLink, context: JobContext) -> None:
        mails = LinkMails(context.database, context.settings)
        await self._send(await mails.to_pending_address(payload.user_id), context)

    async def _send_invitation(self, payload: SendInvitation, context: JobContext) -> None:
        mails = LinkMails(context.database, context.settings)
        await self._send(await mails.to_invited(payload.email), context)

    async def _send(self, mail: Mail | None, context: JobContext) -> None:
        """Send a mail, if there is one. The log names it by its job, without its text and address.

        Raises `MailError`, and `FinalError` if the mail server refuses it for good.
        """
        if mail is None:
            return
        # The same in each attempt, so that a mail that was sent twice can be told by its Message-ID.
        mail = replace(mail, id=context.key.replace("/", "."))
        try:
            await self._mailer.send(mail)
        except MailError as error:
            if error.is_final:
                raise FinalError(str(error)) from error
            raise
        _logger.info("mail %s was sent", mail.id)
