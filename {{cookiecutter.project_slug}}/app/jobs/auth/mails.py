"""Mails, written when they are sent."""

from dataclasses import replace
from typing import Any, Final

from app.core.jobs.kinds import FinalError, JobContext, JobKind
from app.core.mail.mailer import Mailer, MailError
from app.core.mail.message import Mail, compose
from app.schemas.auth.mail_jobs import SendChangeLink, SendInvitation, SendLink, SendNotice
from app.services.auth.link_mails import LinkMails
from app.services.auth.one_time_token_service import OneTimeTokenService

# With the delays between them about two hours, for servers that are down or greylist.
_ATTEMPTS: Final = 20


class MailJobs:
    """The handlers of jobs that send mail. Each attempt writes a new link; the last one is valid."""

    def __init__(self, mailer: Mailer, worker_jobs: int = 10) -> None:
        self._mailer = mailer
        # Four kinds take four fifths of one worker: a mail server that hangs leaves room for other jobs.
        self._at_once = max(1, worker_jobs // 5)

    def kinds(self) -> tuple[JobKind[Any], ...]:
        """Return the kinds of jobs that send mail."""
        options: Any = {"attempts": _ATTEMPTS, "at_once": self._at_once}
        return (
            JobKind(SendNotice, self._send_notice, **options),
            JobKind(SendLink, self._send_link, **options),
            JobKind(SendChangeLink, self._send_change_link, **options),
            JobKind(SendInvitation, self._send_invitation, **options),
        )

    async def _send_notice(self, payload: SendNotice, context: JobContext) -> None:
        notice = compose(payload.template, payload.to, **payload.values)
        # The same Message-ID in each attempt, so that a mailbox keeps one of two. Mails with a link have
        # different ones: of two, the last has the valid link.
        await self._send(replace(notice, id=context.key.replace("/", ".")))

    async def _send_link(self, payload: SendLink, context: JobContext) -> None:
        mails = LinkMails(context.database, context.settings)
        await self._send(await mails.to_account(payload, context.claim))

    async def _send_change_link(self, payload: SendChangeLink, context: JobContext) -> None:
        async with context.database.transaction() as session:
            tokens = OneTimeTokenService(session, context.settings)
            mail = await tokens.create_change_mail(payload.user_id)
        await self._send(mail)

    async def _send_invitation(self, payload: SendInvitation, context: JobContext) -> None:
        async with context.database.transaction() as session:
            tokens = OneTimeTokenService(session, context.settings)
            mail = await tokens.create_invitation(payload.email)
        await self._send(mail)

    async def _send(self, mail: Mail | None) -> None:
        """Send a mail, if there is one.

        Raises `MailError`, and `FinalError` if the mail server refuses it for good.
        """
        if mail is None:
            return
        try:
            await self._mailer.send(mail)
        except MailError as error:
            if error.is_final:
                raise FinalError(str(error)) from error
            raise
