"""A real SMTP server for tests, on the event loop of the test."""

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


@dataclass
class SmtpServer:
    """What a server has received, and what it replies."""

    port: int = 0
    # The replies to the next mails. When none is left, mails are accepted.
    replies: list[str] = field(default_factory=list)
    taken: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list)
    tries: int = 0
    seconds: float = 0
    busy: int = 0
    busiest: int = 0
    logins: list[LoginPassword] = field(default_factory=list)

    async def handle_DATA(self, _server: SMTP, _session: object, envelope: Any) -> str:  # noqa: N802
        """Accept a mail, or send the next reply. aiosmtpd calls the method by this name."""
        self.tries += 1
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        await asyncio.sleep(self.seconds)
        self.busy -= 1
        if self.replies:
            return self.replies.pop(0)
        message = BytesParser(EmailMessage, policy=default).parsebytes(envelope.content)
        self.taken.append(message)
        self.envelopes.append((envelope.mail_from, envelope.rcpt_tos))
        return "250 OK"

    def authenticate(self, _server: SMTP, *arguments: Any) -> AuthResult:
        self.logins.append(arguments[-1])
        return AuthResult(success=True)


def trusted_authority(monkeypatch: pytest.MonkeyPatch, folder: Path) -> trustme.CA:
    """Return a certificate authority that this process trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "ca.pem"))
    return authority


def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    """Return the TLS of a server called localhost."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@asynccontextmanager
async def smtp_server(
    *,
    recorded: SmtpServer | None = None,
    tls: ssl.SSLContext | None = None,
    starttls: ssl.SSLContext | None = None,
    **options: Any,
) -> AsyncGenerator[SmtpServer]:
    """Serve on a free port of 127.0.0.1: unencrypted, by TLS from the start, or with STARTTLS."""
    loop = asyncio.get_running_loop()
    recorded = recorded or SmtpServer()

    def connect() -> SMTP:
        return SMTP(
            recorded,
            hostname="localhost",
            enable_SMTPUTF8=True,
            tls_context=starttls,
            loop=loop,
            **options,
        )

    server = await loop.create_server(connect, "127.0.0.1", 0, ssl=tls)
    recorded.port = server.sockets[0].getsockname()[1]
    async with server:
        yield recorded
