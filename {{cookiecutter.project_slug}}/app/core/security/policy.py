"""What a password may be. Length is what matters, and that few others have the same one.

Rules of composition would make passwords no harder to guess (ASVS 5, 6.2.5).
"""

import unicodedata
from functools import cache
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from app.core.security.settings import PasswordSettings
from app.exceptions import ValidationError

_COMMON: Final = Path(__file__).with_name("common_passwords.txt")


def normalized(password: SecretStr) -> str:
    """Return the one form (NFKC) of a text that keyboards and systems encode in several ways."""
    return unicodedata.normalize("NFKC", password.get_secret_value())


def require_acceptable(password: SecretStr, policy: PasswordSettings, *, field: str) -> None:
    """Raise `ValidationError`, which names the `field` of the request, for a weak password."""
    text = normalized(password)
    if len(text) < policy.password_min_length:
        raise ValidationError(
            f"A password has at least {policy.password_min_length} characters",
            field=field,
            kind="string_too_short",
        )
    if len(text) > policy.password_max_length:
        raise ValidationError(
            f"A password has at most {policy.password_max_length} characters",
            field=field,
            kind="string_too_long",
        )
    if policy.password_refuse_common and is_common(text):
        raise ValidationError(
            "This password is one of those that attackers try first",
            field=field,
            kind="password_too_common",
        )


def is_common(password: str) -> bool:
    """Say whether a password is on the list, in whatever case or Unicode form it is written."""
    return unicodedata.normalize("NFKC", password).casefold() in _common_passwords()


@cache
def _common_passwords() -> frozenset[str]:
    """Read the list, on first use. It says itself where it comes from."""
    lines = _COMMON.read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if not line.startswith("#"))
