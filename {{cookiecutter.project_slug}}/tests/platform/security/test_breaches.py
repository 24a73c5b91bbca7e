"""Passwords from breaches, looked up in range files or at a service."""

import hashlib
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.core.config import ConfigurationError, load_settings
from app.core.security.breaches import require_not_breached
from app.core.security.settings import PasswordSettings
from app.exceptions import ValidationError
from tests.auth.accounts import EMAIL, Mailbox, Opener, new_user

BREACHED = "staple of the breach"
PADDING = "line of the padding"


def digest_of(password: str) -> str:
    return hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Range files with one breached password, and one that only pads its range."""
    for password, count in ((BREACHED, 3), (PADDING, 0)):
        digest = digest_of(password)
        lines = f"{'0' * 35}:1\r\n{digest[5:]}:{count}\r\n{'F' * 35}:1\r\n"
        (tmp_path / f"{digest[:5]}.txt").write_text(lines)
    return tmp_path


class Ranges(BaseHTTPRequestHandler):
    folder: Path
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        path = self.folder / f"{self.path.removeprefix('/range/')}.txt"
        self.send_response(200 if path.exists() else 500)
        self.end_headers()
        self.wfile.write(path.read_bytes() if path.exists() else b"")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def service(folder: Path) -> Generator[str]:
    Ranges.folder, Ranges.asked = folder, []
    with HTTPServer(("127.0.0.1", 0), Ranges) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/range/"
        server.shutdown()
        thread.join()


async def is_refused(password: str, source: str) -> bool:
    settings = PasswordSettings(password_breaches=source)
    try:
        await require_not_breached(SecretStr(password), settings, field="password")
    except ValidationError as error:
        return error.kind == "password_breached"
    return False


async def test_breached_password_is_found_in_files(folder: Path) -> None:
    assert await is_refused(BREACHED, str(folder))
    assert not await is_refused(PADDING, str(folder))


async def test_service_learns_five_digits_only(service: str) -> None:
    assert await is_refused(BREACHED, service.replace("http", "HTTP"))  # schemes ignore case
    assert not await is_refused(PADDING, service)
    assert Ranges.asked == [f"/range/{digest_of(p)[:5]}" for p in (BREACHED, PADDING)]


async def test_missing_range_refuses_nothing_and_is_logged(
    folder: Path, service: str, caplog: pytest.LogCaptureFixture
) -> None:
    for source in (str(folder), service, "http://127.0.0.1:1/"):
        caplog.clear()
        assert not await is_refused("correct horse battery", source)
        assert len(caplog.messages) == 1
        assert "correct horse battery" not in caplog.text


async def test_check_is_off_by_default() -> None:
    assert not await is_refused(BREACHED, "")


async def test_registration_with_a_breached_password_is_refused(
    open_client: Opener, folder: Path, mailbox: Mailbox
) -> None:
    async with open_client(password_breaches=str(folder)) as client:
        refused = await client.post("/users", json=new_user(email=EMAIL, password=BREACHED))
        accepted = await client.post("/users", json=new_user(email=EMAIL))

    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "password_breached")
    assert accepted.status_code == 201


@pytest.mark.parametrize(
    "source", ["/nowhere", "ftp://example.com/", "http://ranges.example.com/range/"]
)
def test_source_that_cannot_be_used_safely_is_refused(source: str) -> None:
    with pytest.raises(ConfigurationError, match="PASSWORD_BREACHES: "):
        load_settings(PasswordSettings, password_breaches=source)
