"""What is sent: plain-text mails, written from templates."""

from dataclasses import dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import localtime
from functools import cache
from pathlib import Path
from string import Template
from typing import Final
from uuid import uuid4

from email_validator import validate_email

from app import __title__

_TEMPLATES: Final = Path(__file__).with_name("templates")


@dataclass(frozen=True)
class Mail:
    """A plain-text mail to one address.

    Raises `ValueError` for values that could inject a header or a recipient.
    """

    to: str
    subject: str
    text: str = field(repr=False)  # may hold a link that is as powerful as a password
    # The Message-ID and the name in the log, the same in each attempt to send it.
    id: str = field(default_factory=lambda: uuid4().hex)

    def __post_init__(self) -> None:
        self.as_message("nobody@example.com")

    def as_message(self, sender: str) -> EmailMessage:
        """Return the mail as an `EmailMessage`, which refuses line breaks in headers."""
        message = EmailMessage()
        message["From"] = _address(sender, __title__)
        message["To"] = _address(self.to)
        message["Subject"] = self.subject
        message["Date"] = localtime()
        message["Message-ID"] = f"<{self.id}@{sender.rpartition('@')[2]}>"
        # Asks out-of-office assistants not to reply, since nobody reads the replies (RFC 3834).
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(self.text)
        return message


def _address(text: str, name: str = "") -> Address:
    """Parse exactly one address. An internationalized domain is converted to ASCII."""
    parts = validate_email(text, check_deliverability=False)
    return Address(name, username=parts.local_part, domain=parts.ascii_domain)


def compose(template: str, to: str, **values: str) -> Mail:
    """Write a mail from a template in `app/core/mail/templates/`, whose first line is the subject.

    Each `$name` is replaced by the value of that name, `$app` by the name of the service. Never
    pass text that a user has chosen, or anyone could make the service mail anything to anyone.
    Raises `KeyError` for a missing value, and `ValueError` as `Mail` does.
    """
    subject, _, text = _template(template).substitute(values, app=__title__).partition("\n")
    return Mail(to, subject, text.lstrip("\n"))


@cache
def _template(name: str) -> Template:
    return Template((_TEMPLATES / f"{name}.txt").read_text(encoding="utf-8"))
