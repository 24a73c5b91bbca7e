"""The password policy: length, not common, not about the user, not the old password.

Composition rules do not make passwords harder to guess (ASVS 5, 6.2.5).
"""

import unicodedata
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from app import __title__
from app.core.security.settings import PasswordSettings
from app.exceptions import ValidationError

_SHORTEST_WORD: Final = 3  # shorter ones are part of too many others
_COMMON: Final = Path(__file__).with_name("common_passwords.txt")


def normalize(password: SecretStr) -> str:
    """Return a password in NFKC, because keyboards and systems encode some texts differently."""
    return unicodedata.normalize("NFKC", password.get_secret_value())


def require_acceptable(
    password: SecretStr, policy: PasswordSettings, *, field: str, about: Iterable[str] = ()
) -> None:
    """Raise `ValidationError` for the `field` of the request if the password is too weak.

    `about` holds the user's e-mail address and name; the password must not consist of their words.
    """
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
    if consists_of(text, [__title__, *about]):
        raise ValidationError(
            "A password must not consist of your e-mail address, your name or the name of this service",
            field=field,
            kind="password_too_personal",
        )


def require_new(password: SecretStr, old: SecretStr, *, field: str) -> None:
    """Raise `ValidationError` for the `field` of the request if the password is the old one."""
    if normalize(password) == normalize(old):
        raise unchanged(field)


def unchanged(field: str) -> ValidationError:
    """Return the error for a new password that equals the old one."""
    return ValidationError(
        "The new password must not be the old one", field=field, kind="password_unchanged"
    )


def consists_of(password: str, texts: Iterable[str]) -> bool:
    """Return whether a password is made of words of the texts, digits and punctuation only.

    An example for `ann.smith@example.com` is `Smith-Ann2026!`. Case and Unicode form are ignored.
    """
    letters = rest = _letters(password)
    words = {_letters(word) for text in texts for word in _words(text)}
    for word in sorted(words, key=len, reverse=True):
        if len(word) >= _SHORTEST_WORD:
            rest = rest.replace(word, "")
    return not rest and letters != ""


def _words(text: str) -> list[str]:
    """Return the words of a text, split at blanks, and also at all but letters and digits."""
    return [*text.split(), *"".join(c if c.isalnum() else " " for c in text).split()]


def _letters(text: str) -> str:
    return "".join(filter(str.isalpha, _fold(text)))


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
