import pytest

from app.core.security.policy import _COMMON, is_common


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
