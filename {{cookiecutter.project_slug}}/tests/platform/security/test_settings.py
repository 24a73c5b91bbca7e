"""Settings of accounts and of mail: what one asks of another, and of production."""

import pytest

from app.core.config import ConfigurationError, Settings, load_settings
from app.core.email_settings import EmailSettings

pytestmark = pytest.mark.usefixtures("environment")


def test_mail_by_smtp_needs_a_server_and_a_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_DELIVERY", "smtp")
    missing = r"(?s)MAIL_FROM: missing.*SMTP_HOST: missing.*FRONTEND_URL: missing"
    with pytest.raises(ConfigurationError, match=missing):
        load_settings(Settings)

    monkeypatch.setenv("MAIL_FROM", "service@example.com")
    monkeypatch.setenv("SMTP_HOST", "smtp.example.com")
    monkeypatch.setenv("FRONTEND_URL", "https://app.example.com")
    assert load_settings(Settings).smtp_host == "smtp.example.com"


def test_mail_is_sent_unencrypted_in_development_and_to_this_machine_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable, value in {
        "MAIL_DELIVERY": "smtp",
        "MAIL_FROM": "service@example.com",
        "SMTP_HOST": "smtp.example.com",
        "SMTP_SECURITY": "none",
        "FRONTEND_URL": "https://app.example.com",
    }.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=r"SMTP_SECURITY: .*unencrypted"):
        load_settings(Settings)

    monkeypatch.setenv("SMTP_HOST", "localhost")
    assert load_settings(Settings).smtp_security == "none"
    monkeypatch.setenv("SMTP_HOST", "smtp.example.com")
    monkeypatch.setenv("DEVELOPMENT", "true")
    assert load_settings(Settings).smtp_security == "none"


def test_hashes_may_be_made_by_either_option_of_rfc_9106(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARGON2_TIME_COST", "1")
    with pytest.raises(ConfigurationError, match="ARGON2_MEMORY_KIB: makes hashes cheaper"):
        load_settings(Settings)

    monkeypatch.setenv("ARGON2_MEMORY_KIB", str(2 * 2**20))
    assert load_settings(Settings).argon2_time_cost == 1


def test_lanes_without_memory_are_refused_in_development_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DEVELOPMENT", "true")
    monkeypatch.setenv("ARGON2_MEMORY_KIB", "8")
    with pytest.raises(ConfigurationError, match=r"ARGON2_PARALLELISM: needs .* 32 or more"):
        load_settings(Settings)

    monkeypatch.setenv("ARGON2_PARALLELISM", "1")
    assert load_settings(Settings).argon2_memory_kib == 8


def test_links_may_open_pages_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRONTEND_URL", "http://localhost:3000/app")

    assert load_settings(Settings).frontend_url == "http://localhost:3000/app"


def test_password_for_smtp_is_neither_sent_unencrypted_nor_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SMTP_USERNAME", "mailer")
    monkeypatch.setenv("SMTP_PASSWORD", "s3cret-of-smtp")
    assert "s3cret-of-smtp" not in repr(load_settings(Settings))

    monkeypatch.setenv("SMTP_SECURITY", "none")
    with pytest.raises(ConfigurationError, match="SMTP_USERNAME: would be sent unencrypted"):
        load_settings(Settings)


def test_sender_may_have_an_address_of_a_special_domain_that_is_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MAIL_FROM", "service@company.local")
    with pytest.raises(ConfigurationError, match="MAIL_FROM: "):
        load_settings(Settings)

    monkeypatch.setenv("EMAIL_SPECIAL_DOMAINS", "local")
    assert load_settings(Settings).mail_from == "service@company.local"

    monkeypatch.undo()
    load_settings(EmailSettings)  # for the tests that follow
