from pathlib import Path

import pytest
from pydantic import SecretStr

from app.core.security.policy import _COMMON, is_common, require_acceptable
from app.core.security.settings import PasswordSettings
from app.exceptions import ValidationError


@pytest.mark.parametrize(
    "password",
    [
        "password",
        "12345678",
        "qwertyuiop",
        "iloveyou",
        "PassWord",
        "\uff50\uff41\uff53\uff53word",  # full-width letters
        "trustno\u00b9",  # a superscript digit
        "\u017fun\u017fhine",  # the long s
    ],
)
def test_common_password_is_known_however_it_is_written(password: str) -> None:
    assert is_common(password)


@pytest.mark.parametrize("password", ["correct horse battery", " password", "", "#", "\u00e4" * 8])
def test_other_password_is_not(password: str) -> None:
    assert not is_common(password)


def test_license_above_the_list_is_not_part_of_it() -> None:
    header = [line for line in _COMMON.read_text().splitlines() if line.startswith("#")]

    assert header
    assert not any(is_common(line) for line in header)


def test_list_holds_what_can_be_a_password_once_and_in_order() -> None:
    lines = [line for line in _COMMON.read_text().splitlines() if not line.startswith("#")]

    assert len(lines) >= 3000
    assert lines == sorted(set(lines))
    assert all(len(line) >= 8 and line == line.casefold() for line in lines)


def test_list_of_a_setting_replaces_that_of_the_service(tmp_path: Path) -> None:
    listed = tmp_path / "common.txt"
    listed.write_text("# ours\nCompany-Name-2026\n", encoding="utf-8")
    policy = PasswordSettings(password_common_file=listed)

    require_acceptable(SecretStr("password1"), policy, field="password")
    with pytest.raises(ValidationError, match="too common"):
        require_acceptable(SecretStr("company-name-2026"), policy, field="password")
