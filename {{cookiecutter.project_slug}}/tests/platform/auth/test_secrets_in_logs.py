"""The check for secrets in logs, which runs in all tests, works."""

import os
import subprocess
import sys
from pathlib import Path

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

    assert "6 passed, 5 errors" in result.stdout
    assert "ERROR test_leaking.py::test_nothing" not in result.stdout
