import asyncio
import logging
import socket
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Annotated, Any

import pytest
import trustme
from pydantic import SecretStr
from sqlalchemy import URL

from app import __title__
from app.core.config import ConfigurationError, Settings, load_settings
from app.core.mail.mailer import ConsoleMailer, DisabledMailer, MailError, SmtpMailer, make_mailer
from app.core.mail.message import _TEMPLATES, Mail, compose
from app.core.security.settings import NeedsMail
from tests.auth.smtp import SmtpServer, server_tls, smtp_server, trusted_authority

TEMPLATES = sorted(path.stem for path in _TEMPLATES.iterdir())


@pytest.fixture
async def server() -> AsyncGenerator[SmtpServer]:
    async with smtp_server() as server:
        yield server


def make(settings: Settings, server: SmtpServer, **values: Any) -> SmtpMailer:
    chosen = {
        "mail_from": "service@example.com",
        "smtp_host": "localhost",
        "smtp_port": server.port,
        "smtp_security": "none",
    }
    return SmtpMailer(settings.model_copy(update=chosen | values))


async def test_mail_arrives_as_it_was_written(
    settings: Settings, server: SmtpServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "app.core.mail")
    sent = Mail("ann@example.com", "Gr\u00fc\u00dfe", "https://example.com/\u00e4\n.\nThe end\n")
    await make(settings, server).send(sent)

    (taken,) = server.taken
    assert taken["To"] == "ann@example.com"
    assert taken["From"].addresses[0].addr_spec == "service@example.com"
    assert taken["From"].addresses[0].display_name == __title__
    assert taken["Subject"] == "Gr\u00fc\u00dfe"
    assert taken["Message-ID"] == f"<{sent.id}@example.com>"
    assert taken["Date"].datetime.tzinfo
    assert taken.get_content().replace("\r\n", "\n") == sent.text
    assert server.envelopes == [("service@example.com", ["ann@example.com"])]
    assert caplog.messages == [f"mail {sent.id} was sent"]


async def test_address_of_any_script_is_reached(settings: Settings, server: SmtpServer) -> None:
    await make(settings, server).send(Mail("\u00e4nn@ex\u00e4mple.com", "Subject", "Text"))

    assert server.envelopes[0][1] == ["\u00e4nn@xn--exmple-cua.com"]
    assert server.taken[0]["To"] == "\u00e4nn@xn--exmple-cua.com"


@pytest.mark.parametrize(
    "to",
    [
        "ann@example.com\nBcc: eve@example.com",
        "ann@example.com\r\nBcc: eve@example.com",
        "ann@example.com, eve@example.com",
        "ann@example.com> <eve@example.com",
        "Ann <ann@example.com>, eve@example.com",
        "ann@example.com\x00",
        "",
    ],
)
def test_address_cannot_add_a_header_or_a_recipient(to: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Mail(to, "Subject", "Text")


@pytest.mark.parametrize("subject", ["Hello\nBcc: eve@example.com", "Hello\r\n\r\nBody", "a\rb"])
def test_subject_cannot_add_a_header(subject: str) -> None:
    with pytest.raises(ValueError, match="linefeed or carriage return"):
        Mail("ann@example.com", subject, "Text")


@pytest.mark.parametrize(
    ("response", "is_final"),
    [
        ("451 4.3.0 ann@example.com: later", False),
        ("550 5.7.1 ann@example.com: no", True),
        ("421 closing", False),
    ],
)
async def test_refusal_says_whether_it_is_final_and_no_address(
    settings: Settings, server: SmtpServer, response: str, is_final: bool
) -> None:
    server.replies = [response]

    with pytest.raises(MailError, match=response[:3]) as error:
        await make(settings, server).send(Mail("ann@example.com", "Subject", "Text"))

    assert error.value.is_final is is_final
    assert "ann" not in str(error.value)
    assert error.value.__suppress_context__  # else a logged traceback would hold the server's text


async def test_error_does_not_name_the_refused_recipient(settings: Settings) -> None:
    class Refusing(SmtpServer):
        async def handle_RCPT(self, *_: object) -> str:  # noqa: N802 (aiosmtpd calls it so)
            return "550 5.1.1 ann@example.com: user unknown"

    async with smtp_server(recorded=Refusing()) as server:
        with pytest.raises(MailError, match="550") as error:
            await make(settings, server).send(Mail("ann@example.com", "Subject", "Text"))

    assert error.value.is_final
    assert "ann" not in str(error.value)


async def test_server_that_refuses_the_service_is_worth_another_try(settings: Settings) -> None:
    """The password is being changed, or the server is closed for a while."""

    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"554 5.3.2 not now\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1") as listener:
        closed = SmtpServer(port=listener.sockets[0].getsockname()[1])
        with pytest.raises(MailError, match="554") as error:
            await make(settings, closed).send(Mail("ann@example.com", "Subject", "Text"))

    assert not error.value.is_final


async def test_server_that_is_down_or_silent_is_worth_another_try(settings: Settings) -> None:
    async with smtp_server() as down:
        pass
    message = Mail("ann@example.com", "Subject", "Text")
    with pytest.raises(MailError, match="no connection") as refused:
        await make(settings, down).send(message)

    with socket.create_server(("127.0.0.1", 0)) as listener:  # accepts no connection
        silent = SmtpServer(port=listener.getsockname()[1])
        async with asyncio.timeout(5):
            with pytest.raises(MailError, match="Timeout") as timeout:
                await make(settings, silent, smtp_timeout=0.05).send(message)

    assert not refused.value.is_final
    assert not timeout.value.is_final


async def test_no_more_connections_at_once_than_servers_like(
    settings: Settings, server: SmtpServer
) -> None:
    server.seconds = 0.05
    mailer = make(settings, server)
    await asyncio.gather(
        *(mailer.send(Mail(f"user{n}@example.com", "Subject", "Text")) for n in range(12))
    )

    assert len(server.taken) == 12
    assert server.busiest == 4


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> trustme.CA:
    return trusted_authority(monkeypatch, tmp_path)


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_mail_and_password_go_to_a_server_that_proves_its_name(
    settings: Settings, authority: trustme.CA, security: str
) -> None:
    recorded = SmtpServer()
    async with smtp_server(
        recorded=recorded,
        **{security: server_tls(authority)},
        authenticator=recorded.authenticate,
        # Over TLS from the start, the server offers no STARTTLS.
        auth_require_tls=security == "starttls",
    ) as server:
        mailer = make(
            settings,
            server,
            smtp_security=security,
            smtp_username="mailer",
            smtp_password=SecretStr("s3cret-of-smtp"),
        )
        await mailer.send(Mail("ann@example.com", "Subject", "Text"))

    assert len(server.taken) == 1
    (login,) = server.logins
    assert (login.login, login.password) == (b"mailer", b"s3cret-of-smtp")


@pytest.mark.parametrize("security", ["tls", "starttls"])
@pytest.mark.usefixtures("authority")
async def test_server_with_an_untrusted_certificate_gets_nothing(
    settings: Settings, security: str
) -> None:
    tls: dict[str, Any] = {security: server_tls(trustme.CA())}
    async with smtp_server(**tls) as server:
        with pytest.raises(MailError):
            await make(settings, server, smtp_security=security).send(
                Mail("ann@example.com", "Subject", "Text")
            )

    assert server.tries == 0


async def test_server_whose_starttls_was_taken_away_gets_nothing(
    settings: Settings, server: SmtpServer
) -> None:
    with pytest.raises(MailError) as error:
        await make(settings, server, smtp_security="starttls").send(
            Mail("ann@example.com", "Subject", "Text")
        )

    assert server.tries == 0
    assert not error.value.is_final


async def test_console_shows_the_mail_and_does_not_log_it(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    await ConsoleMailer().send(Mail("ann@example.com", "Subject", "Open https://example.com/"))

    assert "To: ann@example.com\nSubject: Subject\n\nOpen https://example.com/\n" in (
        capsys.readouterr().err
    )
    assert "https://example.com/" not in caplog.text


async def test_service_without_mail_says_so(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    mail = Mail("ann@example.com", "Subject", "Text")

    await make_mailer(settings).send(mail)

    assert caplog.messages == [f"mail {mail.id} was not sent: MAIL_DELIVERY is none"]


@pytest.mark.parametrize(
    ("delivery", "kind"),
    [("none", DisabledMailer), ("console", ConsoleMailer), ("smtp", SmtpMailer)],
)
def test_settings_choose_the_mailer(settings: Settings, delivery: str, kind: type) -> None:
    chosen = settings.model_copy(update={"mail_delivery": delivery})

    assert isinstance(make_mailer(chosen), kind)


def test_feature_that_sends_mail_is_refused_where_none_can_be_sent(database_url: URL) -> None:
    class MoreSettings(Settings):
        send_newsletter: Annotated[bool, NeedsMail] = False

    def load(**values: Any) -> MoreSettings:
        return load_settings(
            MoreSettings,
            development=True,
            database_url=database_url,
            secret_key="only-for-this-test-0123456789-abcdef",
            **values,
        )

    assert load().send_newsletter is False
    with pytest.raises(ConfigurationError, match=r"SEND_NEWSLETTER: needs mail; .*SMTP_HOST"):
        load(send_newsletter=True)
    assert load(send_newsletter=True, mail_delivery="console").send_newsletter is True


WITHOUT_LINK = {
    "account_changed_by_admin",
    "email_changed",
    "email_change_requested",
    "password_changed",
}


@pytest.mark.parametrize("template", TEMPLATES)
def test_template_makes_a_mail(template: str) -> None:
    link = "https://example.com/#token=$x"
    values = {"link": link, "lifetime": "24 hours"}
    ids = {"change": "deleted", "user_id": "7", "actor_id": "1"}
    written = compose(template, "ann@example.com", **values, **ids)

    assert __title__ in written.subject
    assert "\n" not in written.subject
    assert "$" not in written.text.replace(link, "")
    assert (link in written.text) == (template not in WITHOUT_LINK)
    assert max(map(len, written.text.replace(__title__, "").splitlines())) <= 100
    assert link not in repr(written)


def test_value_that_a_template_needs_must_be_given() -> None:
    with pytest.raises(KeyError, match="link"):
        compose("verify_email", "ann@example.com", lifetime="24 hours")
