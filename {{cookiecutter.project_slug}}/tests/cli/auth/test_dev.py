"""Settings of accounts and of mail with which `app dev` serves."""

from pathlib import Path

import pytest

from tests.cli.test_main import serve


@pytest.mark.parametrize(("configured", "served"), [(None, "console"), ("smtp", "smtp")])
def test_dev_prints_mail_by_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, configured: str | None, served: str
) -> None:
    given = {"MAIL_DELIVERY": configured} if configured else {}
    environment = serve(monkeypatch, tmp_path, given)

    assert environment["MAIL_DELIVERY"] == served
    assert environment["FRONTEND_URL"] == "http://127.0.0.1:8000"
    assert len(environment["SECRET_KEY"]) >= 32
