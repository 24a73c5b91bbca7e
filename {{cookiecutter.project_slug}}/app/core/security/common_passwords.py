"""Passwords that too many people have: those that attackers try first."""

import unicodedata
from functools import cache
from pathlib import Path
from typing import Final

_FILE: Final = Path(__file__).with_name("common_passwords.txt")


def is_common(password: str) -> bool:
    """Say whether a password is on the list, in whatever case or Unicode form it is written."""
    return unicodedata.normalize("NFKC", password).casefold() in _common_passwords()


@cache
def _common_passwords() -> frozenset[str]:
    """Read the list, on first use. It says itself where it comes from."""
    lines = _FILE.read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if not line.startswith("#"))
