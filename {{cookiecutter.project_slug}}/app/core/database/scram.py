"""Verifiers of passwords for PostgreSQL, so that statements and logs hold no password.

A role whose password is set by a verifier signs in as any other: this is what `\\password` of psql
sends. The form is that of `pg_authid.rolpassword`, after RFC 5802 and RFC 7677.
"""

import stringprep
from base64 import b64encode
from hashlib import pbkdf2_hmac, sha256
from hmac import digest
from secrets import token_bytes
from typing import Final
from unicodedata import normalize

# PostgreSQL's own.
_ITERATIONS: Final = 4096
_SALT_BYTES: Final = 16

_PROHIBITED: Final = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
    stringprep.in_table_a1,
)


def scram_verifier(password: str, salt: bytes = b"") -> str:
    """Return `SCRAM-SHA-256$4096:salt$StoredKey:ServerKey`, by default with a random salt."""
    salt = salt or token_bytes(_SALT_BYTES)
    salted = pbkdf2_hmac("sha256", _prepared(password).encode(), salt, _ITERATIONS)
    stored_key = sha256(digest(salted, b"Client Key", "sha256")).digest()
    server_key = digest(salted, b"Server Key", "sha256")
    salt_text, stored, server = (b64encode(one).decode() for one in (salt, stored_key, server_key))
    return f"SCRAM-SHA-256${_ITERATIONS}:{salt_text}${stored}:{server}"


def _prepared(password: str) -> str:
    """Return a password as clients send it: by SASLprep (RFC 4013), or as it is if that refuses it."""
    if password.isascii():
        return password
    mapped = "".join(
        " " if stringprep.in_table_c12(character) else character
        for character in password
        if not stringprep.in_table_b1(character)
    )
    prepared = normalize("NFKC", mapped)
    if any(is_in_table(character) for character in prepared for is_in_table in _PROHIBITED):
        return password
    from_right = [stringprep.in_table_d1(character) for character in prepared]
    if any(from_right):
        mixed = any(map(stringprep.in_table_d2, prepared))
        if mixed or not (from_right[0] and from_right[-1]):
            return password
    return prepared or password
