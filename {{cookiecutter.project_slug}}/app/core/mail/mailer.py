"""How mail is sent: by SMTP, to the terminal, or not at all.

The jobs of `app.jobs.auth.mails` send them.
"""

import asyncio
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol

import aiosmtplib

from app.core.config import Settings
from app.core.mail.message import Mail

_logger: Final = logging.getLogger(__name__)

# Many servers limit the concurrent connections of a client and refuse the rest.
_CONNECTIONS: Final = 4


class MailError(Exception):
    """A mail was not sent. The message is safe to log: it holds neither the mail nor an address.

    `is_final` says that another attempt would fail as well.
    """

    def __init__(self, reason: str, *, is_final: bool) -> None:
        super().__init__(reason)
        self.is_final = is_final


class Mailer(Protocol):
    """A way to send mail."""

    async def send(self, mail: Mail) -> None:
        """Send a mail, in one attempt. Raises `MailError`."""
        ...


class ConsoleMailer:
    """Prints mails to the terminal instead of sending them, for development.

    It does not log them: logs are collected and kept, and a mail may hold a valid token.
    """

    async def send(self, mail: Mail) -> None:
        sys.stderr.write(f"\nTo: {mail.to}\nSubject: {mail.subject}\n\n{mail.text}\n")


class DisabledMailer:
    """Sends nothing, and says so in the log, for a service without mail settings."""

    async def send(self, mail: Mail) -> None:
        _logger.warning("mail %s was not sent: MAIL_DELIVERY is none", mail.id)


class SmtpMailer:
    """Sends mails to an SMTP server, each on a connection of its own.

    With `starttls` and `tls`, a server without a valid certificate for its name gets neither the
    mail nor the password. The log names a mail by its id, without its text and address.
    """

    def __init__(self, settings: Settings) -> None:
        self._sender = settings.mail_from or ""  # never empty: the settings require it for SMTP
        self._options: dict[str, Any] = {
            "hostname": settings.smtp_host,
            "port": settings.smtp_port,
            "username": settings.smtp_username or None,
            "password": settings.smtp_password.get_secret_value() or None,
            "use_tls": settings.smtp_security == "tls",
            "start_tls": settings.smtp_security == "starttls",
            "timeout": settings.smtp_timeout,
        }
        self._connections = asyncio.Semaphore(_CONNECTIONS)

    async def send(self, mail: Mail) -> None:
        message = mail.as_message(self._sender)
        async with self._connections:
            with _translate_smtp_errors():
                await aiosmtplib.send(message, **self._options)
        _logger.info("mail %s was sent", mail.id)

    async def try_connection(self) -> None:
        """Connect and sign in, and send nothing. Raises `SMTPException` or `OSError`."""
        async with aiosmtplib.SMTP(**self._options):
            pass


@contextmanager
def _translate_smtp_errors() -> Iterator[None]:
    """Raise `MailError` without the server's text, which may repeat addresses."""
    try:
        yield
    except aiosmtplib.SMTPRecipientsRefused as error:
        raise _response_error(error.recipients[0]) from None
    except aiosmtplib.SMTPResponseException as error:
        raise _response_error(error) from None
    except aiosmtplib.SMTPNotSupported as error:
        raise MailError(error.message, is_final=False) from None
    except (aiosmtplib.SMTPException, OSError) as error:
        raise MailError(f"no connection ({type(error).__name__})", is_final=False) from None


def _response_error(error: aiosmtplib.SMTPResponseException) -> MailError:
    # Replies of 500 and above are permanent (RFC 5321, section 4.2.1): for this mail, if they are about
    # it. A server that refuses the service, for instance while its password is changed, may take it later.
    is_about_the_mail = isinstance(
        error,
        aiosmtplib.SMTPRecipientRefused | aiosmtplib.SMTPSenderRefused | aiosmtplib.SMTPDataError,
    )
    return MailError(
        f"the server refused it ({type(error).__name__}, {error.code})",
        is_final=is_about_the_mail and error.code >= 500,
    )


def make_mailer(settings: Settings) -> Mailer:
    """Return the mailer that MAIL_DELIVERY names."""
    match settings.mail_delivery:
        case "smtp":
            return SmtpMailer(settings)
        case "console":
            return ConsoleMailer()
        case "none":
            return DisabledMailer()
