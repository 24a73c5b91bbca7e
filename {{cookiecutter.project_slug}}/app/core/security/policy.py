"""The password policy: length, and not being common.

Composition rules do not make passwords harder to guess (ASVS 5, 6.2.5).
"""

import unicodedata
from functools import cache
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from app.core.security.settings import PasswordSettings
from app.exceptions import ValidationError

_COMMON: Final = Path(__file__).with_name("common_passwords.txt")


def normalize(password: SecretStr) -> str:
    """Return a password in NFKC, because keyboards and systems encode some texts differently."""
    return unicodedata.normalize("NFKC", password.get_secret_value())


def require_acceptable(password: SecretStr, policy: PasswordSettings, *, field: str) -> None:
    """Raise `ValidationError` for the `field` of the request if the password is too weak."""
    text = normalize(password)
    if len(text) < policy.password_min_length:
        raise ValidationError(
            f"A password must have at least {policy.password_min_length} characters",
            field=field,
            kind="string_too_short",
        )
    if len(text) > policy.password_max_length:
        raise ValidationError(
            f"A password must have at most {policy.password_max_length} characters",
            field=field,
            kind="string_too_long",
        )
    if policy.password_refuse_common and is_common(text, policy.password_common_file or _COMMON):
        raise ValidationError(
            "This password is too common; attackers try it first",
            field=field,
            kind="password_too_common",
        )


def is_common(password: str, listed: Path = _COMMON) -> bool:
    """Return whether a password is on a list, ignoring case and Unicode form."""
    return _fold(password) in _common_passwords(listed)


def _fold(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


@cache
def _common_passwords(listed: Path) -> frozenset[str]:
    """Return a list of common passwords, read on first use."""
    lines = listed.read_text(encoding="utf-8-sig").splitlines()
    return frozenset(_fold(line) for line in lines if not line.startswith("#"))
