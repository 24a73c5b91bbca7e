"""The package offers its functions itself, in whatever order modules are imported."""

import subprocess
import sys

import pytest

from app.core import security
from app.core.security import passwords, tokens


def test_package_exports_the_functions_of_its_modules() -> None:
    assert security.hash_password is passwords.hash_password
    assert security.verify_password is passwords.verify_password
    assert security.create_access_token is tokens.create_access_token
    assert security.read_access_token is tokens.read_access_token


def test_name_that_the_package_does_not_have_is_an_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'hash_pasword'"):
        _ = security.hash_pasword  # type: ignore[attr-defined]


@pytest.mark.parametrize("first", ["app.core.config", "app.core.security"])
def test_package_and_settings_import_in_either_order(first: str) -> None:
    code = f"import {first}; from app.core.security import create_access_token, hash_password"

    subprocess.run([sys.executable, "-c", code], check=True)
