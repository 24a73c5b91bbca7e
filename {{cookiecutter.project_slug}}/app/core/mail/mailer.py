"""Mail as a port: what is sent, and two ways of sending it.

`app.dependencies.auth.outbox` sends the mails of a request after its commit.
"""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import localtime
from functools import cache
from pathlib import Path
from string import Template
from typing import Any, Final, Protocol
from uuid import uuid4

import aiosmtplib
from email_validator import validate_email

from app import __title__
from app.core.config import Settings

_TEMPLATES: Final = Path(__file__).with_name("templates")

# Servers take few connections of one client at a time, and answer the others by an error.
_CONNECTIONS: Final = 4


class MailError(Exception):
    """A mail was not sent. The message holds neither the mail nor an address: it may be logged."""

    def __init__(self, reason: str, *, is_final: bool) -> None:
        super().__init__(reason)
        # Whether the same mail would fail again, however often it is tried.
        self.is_final = is_final


@dataclass(frozen=True)
class Mail:
    """A mail in plain text to one address.

    Raises `ValueError` for what could add a header or a recipient.
    """

    to: str
    subject: str
    text: str = field(repr=False)  # it may hold a link that is as good as a password
    # Its name in the log, and at the server as Message-ID: the same in each try.
    id: str = field(default_factory=lambda: uuid4().hex)

    def __post_init__(self) -> None:
        self.as_message("nobody@example.com")

    def as_message(self, sender: str) -> EmailMessage:
        """Return the mail as `email` of the standard library has it, which refuses line breaks."""
        message = EmailMessage()
        message["From"] = _address(sender, __title__)
        message["To"] = _address(self.to)
        message["Subject"] = self.subject
        message["Date"] = localtime()
        message["Message-ID"] = f"<{self.id}@{sender.rpartition('@')[2]}>"
        # Nobody is there who could read the answer of an out-of-office assistant (RFC 3834).
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(self.text)
        return message


def _address(text: str, name: str = "") -> Address:
    """Read one address, and nothing else. A domain in any script is named as servers know it."""
    parts = validate_email(text, check_deliverability=False)
    return Address(name, username=parts.local_part, domain=parts.ascii_domain)


class Mailer(Protocol):
    """A way to send mail."""

    async def send(self, mail: Mail) -> None:
        """Hand a mail over, in one try. Raises `MailError`."""
        ...


class ConsoleMailer:
    """Shows mails on the terminal instead of sending them, for development.

    Not by the log, which others may collect and keep: a mail holds what lets its reader in.
    """

    async def send(self, mail: Mail) -> None:
        sys.stderr.write(f"\nTo: {mail.to}\nSubject: {mail.subject}\n\n{mail.text}\n")


class DisabledMailer:
    """Sends nothing, for a service that was not told how to."""

    async def send(self, mail: Mail) -> None:  # noqa: ARG002 (the signature of Mailer)
        raise MailError("MAIL_DELIVERY says that there is none", is_final=True)


class SmtpMailer:
    """Hands mails to an SMTP server, on a connection for each.

    With `starttls` and `tls` a server that does not prove its name by its certificate gets
    neither mail nor password.
    """

    def __init__(self, settings: Settings) -> None:
        self._sender = settings.mail_from or ""  # which the settings refuse
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


@contextmanager
def _translate_smtp_errors() -> Iterator[None]:
    """Raise `MailError` for whatever aiosmtplib raises. Servers repeat addresses in their answers."""
    try:
        yield
    except aiosmtplib.SMTPRecipientsRefused as error:
        raise _response_error(error.recipients[0]) from None
    except aiosmtplib.SMTPResponseException as error:
        raise _response_error(error) from None
    except aiosmtplib.SMTPNotSupported as error:
        raise MailError(error.message, is_final=True) from None
    except (aiosmtplib.SMTPException, OSError) as error:
        raise MailError(f"no connection ({type(error).__name__})", is_final=False) from None


def _response_error(error: aiosmtplib.SMTPResponseException) -> MailError:
    # Replies of 500 and above are permanent (RFC 5321, section 4.2.1).
    return MailError(
        f"the server refused it ({type(error).__name__}, {error.code})", is_final=error.code >= 500
    )


def make_mailer(settings: Settings) -> Mailer:
    """Return the way to send mail that the settings ask for."""
    match settings.mail_delivery:
        case "smtp":
            return SmtpMailer(settings)
        case "console":
            return ConsoleMailer()
        case "none":
            return DisabledMailer()


def compose(template: str, to: str, **values: str) -> Mail:
    """Write a mail by a template in `app/core/mail/templates/`, whose first line is the subject.

    `values` replace `$name` for each name; `$app` is the name of the service. They are never text
    that a user has chosen, or anybody could have us mail anything to anyone. Raises `KeyError` for
    a value that the template needs and does not get, and `ValueError` as `Mail` does.
    """
    subject, _, text = _template(template).substitute(values, app=__title__).partition("\n")
    return Mail(to, subject, text.lstrip("\n"))


@cache
def _template(name: str) -> Template:
    return Template((_TEMPLATES / f"{name}.txt").read_text(encoding="utf-8"))
