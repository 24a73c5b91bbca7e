"""No line of the log holds a secret, and the check for that, which runs in all tests, works."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from app.core.config import Settings
from app.core.database import Database
from tests.auth.secrets_in_logs import found
from tests.callers import measured_as
from tests.endpoints import ArrangeOn, stated_endpoints
from tests.factories import Factory
from tests.platform.log_lines import Line

PROJECT = Path(__file__).parents[3]

LEAKING = """
import logging, secrets, sys
import jwt
from pydantic import SecretStr
from app.core.security.tokens import RefreshToken

log = logging.getLogger("app.x").warning
key = SecretStr("a key that is long enough for HS256")

def test_password(): log("password=%s", SecretStr("correct horse battery").get_secret_value())
def test_key_of_the_test_before(): print(key.get_secret_value())
def test_access_token(): log("Bearer %s", jwt.encode({}, key.get_secret_value()))
def test_refresh_token(): print(RefreshToken.new())
def test_one_time_token(): sys.stderr.write(f"/#token={secrets.token_urlsafe(32)}")
def test_nothing(): log("%r of %d characters", SecretStr("correct horse battery"), 21)
"""


def test_secret_in_the_log_or_the_output_of_a_test_fails_it(tmp_path: Path) -> None:
    (tmp_path / "test_leaking.py").write_text(LEAKING)
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.auth.secrets_in_logs", "-q", str(tmp_path)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(PROJECT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    names = re.findall(r"def (\w+)", LEAKING)
    failed = re.findall(r"^ERROR test_leaking.py::(\w+)", result.stdout, re.MULTILINE)
    assert failed == [name for name in names if name != "test_nothing"]
    assert f"{len(names)} passed" in result.stdout


async def test_no_line_of_any_request_holds_a_secret(
    settings: Settings,
    live_database: Database,
    make_live: Factory,
    arrange_on: ArrangeOn,
    lines: list[Line],
) -> None:
    """With each field of each line, at the lowest level, and with the text of every statement."""
    database = Database(settings.model_copy(update={"database_slow_statement": 1e-9}))
    arrange = arrange_on(database, make_live)
    for endpoint in stated_endpoints():
        send = await arrange(endpoint, measured_as(endpoint))
        response = await send()
        assert response.status_code < 500, endpoint
    await database.dispose()

    assert found(json.dumps(line) for line in lines) == []
    routes = {line["route"] for line in lines if line["logger"] == "app.requests"}
    assert {"/auth/token", "/auth/password-reset/confirm"} <= routes
    assert any("statement" in line for line in lines)
