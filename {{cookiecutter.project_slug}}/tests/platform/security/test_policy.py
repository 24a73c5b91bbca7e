"""What a password may be: a rule that services call, whose parts are settings."""

import pytest
from pydantic import SecretStr

from app.core.security.policy import require_acceptable, require_new
from app.core.security.settings import PasswordSettings
from app.exceptions import ValidationError

DEFAULT = PasswordSettings()


def refusal(
    password: str, policy: PasswordSettings = DEFAULT, about: tuple[str, ...] = ()
) -> str | None:
    """Return the kind of the refusal, or None for a password that is accepted."""
    try:
        require_acceptable(SecretStr(password), policy, field="password", about=about)
    except ValidationError as error:
        return error.kind
    return None


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "x7!kQ2vv",
        " " * 3 + "three blanks",
        "p\u00e4ssw\u00f6rter",
        "x" * 128,
    ],
)
def test_length_is_all_that_is_asked_of_an_uncommon_password(password: str) -> None:
    assert refusal(password) is None


@pytest.mark.parametrize(
    ("password", "kind"),
    [
        ("", "string_too_short"),
        ("x7!kQ2v", "string_too_short"),
        ("\u1100\u1161" * 7, "string_too_short"),  # seven characters, sent as fourteen
        ("x" * 129, "string_too_long"),
        ("\ufdfa" * 8, "string_too_long"),  # eight characters that stand for 144
        ("password1", "password_too_common"),
        ("PASSWORD1", "password_too_common"),
        ("\uff50assword1", "password_too_common"),  # a full-width letter
    ],
)
def test_weak_password_is_refused_by_the_form_that_is_hashed(password: str, kind: str) -> None:
    assert refusal(password) == kind


def test_message_says_what_would_be_accepted() -> None:
    policy = PasswordSettings(password_min_length=12, password_max_length=64)

    with pytest.raises(ValidationError, match="at least 12 characters") as error:
        require_acceptable(SecretStr("secret word"), policy, field="new_password")
    assert error.value.field == "new_password"
    assert "secret word" not in str(error.value)
    with pytest.raises(ValidationError, match="at most 64 characters"):
        require_acceptable(SecretStr("x" * 65), policy, field="new_password")


def test_length_and_common_passwords_are_settings() -> None:
    longer = PasswordSettings(password_min_length=12)
    shorter = PasswordSettings(password_max_length=64)
    lenient = PasswordSettings(password_refuse_common=False)

    assert (refusal("x7!kQ2vvAB2"), refusal("x7!kQ2vvAB2", longer)) == (None, "string_too_short")
    assert (refusal("y" * 65), refusal("y" * 65, shorter)) == (None, "string_too_long")
    assert (refusal("password1"), refusal("password1", lenient)) == ("password_too_common", None)


@pytest.mark.parametrize(
    "password",
    [
        "ann.smith@example.com",
        "ANN.SMITH@EXAMPLE.COM1",
        "annsmith",
        "Smith-Ann2026!",
        "smithsmith",
        "\uff33mith\uff21nn",  # full-width letters
        "O'Neil-Smith1",
        "example2026",
        "The demo-service 12",
    ],
)
def test_password_about_the_user_or_the_service_is_refused(
    monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    monkeypatch.setattr("app.core.security.policy.__title__", "The Demo Service")
    about = ("ann.smith@example.com", "Ann O'Neil-Smith")

    assert refusal(password, about=about) == "password_too_personal"


@pytest.mark.parametrize(
    "password", ["Smith and his horse", "annex 1 of smithy", "94728831221977", "!?!?!?!?!?"]
)
def test_password_may_hold_a_word_about_the_user(password: str) -> None:
    assert refusal(password, about=("ann.smith@example.com", "Ann Smith", "12345")) is None


def test_old_password_is_not_new_in_another_form() -> None:
    with pytest.raises(ValidationError) as error:
        require_new(SecretStr("caf\u00e9 au lait"), SecretStr("cafe\u0301 au lait"), field="new")

    assert error.value.kind == "password_unchanged"
