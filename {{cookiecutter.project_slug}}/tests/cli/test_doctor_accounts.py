"""What `app doctor` says about accounts and mail."""

from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from aiosmtpd.smtp import AuthResult

from app.cli.doctor.accounts import check_mail
from app.cli.doctor.findings import Examined, Level
from app.cli.doctor.settings import check_settings, check_weak_settings
from tests.auth.smtp import SmtpServer, server_tls, smtp_server, trusted_authority

Configure = Callable[..., Examined]


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Return a function that reads the settings, with some variables on top of valid ones."""

    def configure(**variables: str) -> Examined:
        valid = {
            "DATABASE_URL": "postgresql://localhost/unused",
            "ALLOWED_HOSTS": "api.example.com",
            "SECRET_KEY": "k8Q2-used-by-this-test-zx7Yw4Vb1Nm6",
        }
        for name, value in (valid | variables).items():
            monkeypatch.setenv(name, value)
        return Examined.load()

    return configure


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("short", "too easy to guess"),
        ("a" * 64, "too easy to guess"),
        ("change-me-0123456789-abcdefghijkl", "an example that others know"),
    ],
)
async def test_weak_key_is_an_error_and_not_shown(
    examined: Configure, key: str, reason: str
) -> None:
    (finding,) = await check_settings(examined(SECRET_KEY=key))

    assert finding.level is Level.ERROR
    assert finding.found.startswith("SECRET_KEY: ")
    assert reason in finding.found
    assert key not in finding.found


async def test_what_only_development_accepts_is_a_warning(examined: Configure) -> None:
    found = await check_weak_settings(
        examined(
            DEVELOPMENT="true",
            SECRET_KEY="change-me-0123456789-abcdefghijkl",
            MAIL_DELIVERY="console",
            ARGON2_MEMORY_KIB="64",
            PASSWORD_REFUSE_COMMON="false",
        )
    )

    assert {finding.level for finding in found} == {Level.WARNING}
    assert all(finding.todo for finding in found)
    named = {finding.found.split()[0].rstrip(":") for finding in found}
    assert named >= {
        *("DEVELOPMENT", "SECRET_KEY", "MAIL_DELIVERY", "ARGON2_MEMORY_KIB"),
        "PASSWORD_REFUSE_COMMON",
    }


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> trustme.CA:
    return trusted_authority(monkeypatch, tmp_path)


@pytest.mark.parametrize(
    ("is_trusted", "admits", "level", "said"),
    [
        (True, True, Level.OK, "accepts the user"),
        (True, False, Level.ERROR, "Authentication credentials invalid"),
        (False, True, Level.ERROR, "certificate verify failed"),
    ],
)
async def test_mail_server_is_tried_without_sending(
    examined: Configure,
    authority: trustme.CA,
    is_trusted: bool,
    admits: bool,
    level: Level,
    said: str,
) -> None:
    recorded = SmtpServer()

    def authenticate(*arguments: object) -> AuthResult:
        recorded.authenticate(*arguments)  # type: ignore[arg-type]
        return AuthResult(success=admits, handled=False)

    tls = server_tls(authority if is_trusted else trustme.CA())
    async with smtp_server(recorded=recorded, starttls=tls, authenticator=authenticate) as server:
        (finding,) = await check_mail(
            examined(
                MAIL_DELIVERY="smtp",
                MAIL_FROM="service@example.com",
                SMTP_HOST="localhost",
                SMTP_PORT=str(server.port),
                SMTP_USERNAME="mailer",
                SMTP_PASSWORD="s3cret-of-smtp",
                FRONTEND_URL="https://app.example.com",
            )
        )

    assert finding.level is level, finding
    assert said in finding.found
    assert bool(finding.todo) == (level is not Level.OK)
    assert "s3cret" not in finding.found
    assert bool(recorded.logins) == is_trusted
    assert recorded.tries == 0


async def test_mail_server_that_is_not_there_is_an_error(examined: Configure) -> None:
    (finding,) = await check_mail(
        examined(
            MAIL_DELIVERY="smtp",
            MAIL_FROM="service@example.com",
            SMTP_HOST="127.0.0.1",
            SMTP_PORT="1",
            FRONTEND_URL="https://app.example.com",
        )
    )

    assert finding.level is Level.ERROR
    assert "127.0.0.1:1 (starttls): " in finding.found
    assert "SMTP_PORT" in finding.todo


async def test_mail_that_is_off_is_fine(examined: Configure) -> None:
    (finding,) = await check_mail(examined())

    assert finding.level is Level.OK
    assert "MAIL_DELIVERY is none" in finding.found
