"""Checks of accounts and of mail."""

from collections.abc import Iterator, Sequence
from typing import Final

from aiosmtplib import SMTPException

from app.cli.doctor.findings import Check, Examined, Finding, error, ok, warning
from app.core.config import Settings
from app.core.mail.mailer import SmtpMailer
from app.exceptions import explain


async def check_mail(examined: Examined) -> Sequence[Finding]:
    """Connect to the SMTP server with TLS, and sign in, without sending anything."""
    settings = examined.settings
    if settings.mail_delivery != "smtp":
        return [ok(f"MAIL_DELIVERY is {settings.mail_delivery}: no mail leaves this machine")]
    server = f"{settings.smtp_host}:{settings.smtp_port} ({settings.smtp_security})"
    try:
        await SmtpMailer(settings).try_connection()
    except (SMTPException, OSError) as failure:
        todo = "see SMTP_HOST, SMTP_PORT, SMTP_SECURITY, SMTP_USERNAME and SMTP_PASSWORD"
        return [error(f"{server}: {explain(failure)}", todo)]
    return [ok(f"{server} accepts {'the user' if settings.smtp_username else 'connections'}")]


def weak_account_settings(settings: Settings) -> Iterator[Finding]:
    """Yield settings that make accounts easier to attack."""
    if not settings.password_refuse_common:
        yield warning("PASSWORD_REFUSE_COMMON is off: common passwords are guessed", "turn it on")


CHECKS: Final[dict[str, Check]] = {"mail": check_mail}
