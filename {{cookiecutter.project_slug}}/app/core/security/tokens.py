"""The three kinds of token, all of which 0005 in docs/decisions gives reasons for.

An access token is a signed statement. A refresh token names a session and proves to hold its
present secret. A one-time token is a secret alone. Of secrets the database keeps digests only:
random as they are, they need no slow hash.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final, Self
from uuid import uuid4

import jwt
from pydantic import SecretStr, TypeAdapter

from app.core.config import Settings
from app.core.types import Id
from app.exceptions import InvalidTokenError

# Pinned: an algorithm taken from the token is the attacker's choice (RFC 8725, section 3.1).
_ALGORITHM: Final = "HS256"
# A name of its own, so that no other kind of JWT passes for an access token (RFC 9068, section 2.1).
_TYPE: Final = "at+jwt"
_CLAIMS: Final = ["iss", "aud", "sub", "exp", "iat", "jti", "typ", "gen"]

_ID: Final = TypeAdapter[int](Id)

_KEY_BYTES: Final = 16
_SECRET_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What an access token says: whose it is, and of which generation of their tokens."""

    user_id: int
    generation: int


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """The public key of a session, and its secret."""

    key: bytes
    secret: bytes = field(repr=False)

    @classmethod
    def new(cls) -> Self:
        return cls(secrets.token_bytes(_KEY_BYTES), secrets.token_bytes(_SECRET_BYTES))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the token that a client has sent, or None for what never was one."""
        try:
            raw = urlsafe_b64decode(text.encode("ascii"))
        except ValueError:
            return None
        if len(raw) != _KEY_BYTES + _SECRET_BYTES or urlsafe_b64encode(raw).decode() != text:
            return None
        return cls(raw[:_KEY_BYTES], raw[_KEY_BYTES:])

    def __str__(self) -> str:
        return urlsafe_b64encode(self.key + self.secret).decode()

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.secret).digest()

    def successor(self, signing_key: SecretStr) -> Self:
        """Return the token that follows, the same each time.

        So a client that has lost the answer is given it again, though only digests are stored.
        Without the service's key nobody derives it, not even from the database and the old token.
        """
        key = signing_key.get_secret_value().encode()
        message = b"refresh token\0" + self.key + self.secret
        return type(self)(self.key, hmac.digest(key, message, "sha256"))


def create_one_time_token() -> str:
    """Return 256 random bits as text that may stand in a link."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def digest_of(token: str) -> bytes:
    """Return what the database keeps of a one-time token."""
    return hashlib.sha256(token.encode()).digest()


@cache
def _key_id(key: str) -> str:
    return hashlib.sha256(b"key id\0" + key.encode()).hexdigest()[:16]


def _keys(settings: Settings) -> dict[str, str]:
    """Return the keys that count by their ids: the one that signs, and the one before it."""
    accepted = (settings.secret_key, settings.secret_key_previous)
    keys = [key.get_secret_value() for key in accepted if key]
    return {_key_id(key): key for key in keys}


def create_access_token(user_id: int, generation: int, settings: Settings) -> str:
    """Sign a token that names a user, good for `settings.access_token_minutes`."""
    now = datetime.now(UTC)
    claims = {
        "iss": settings.token_issuer,
        "aud": settings.token_audience,
        "sub": str(user_id),
        "exp": now + timedelta(minutes=settings.access_token_minutes),
        "iat": now,
        "jti": uuid4().hex,
        "typ": "access",
        "gen": generation,
    }
    key = settings.secret_key.get_secret_value()
    headers = {"typ": _TYPE, "kid": _key_id(key)}
    return jwt.encode(claims, key, algorithm=_ALGORITHM, headers=headers)


def read_access_token(token: str, settings: Settings) -> AccessToken:
    """Return what a token says.

    Raises `InvalidTokenError` if the signature, the algorithm, the type, a claim or the time is
    wrong. The key is one of the service's own: `kid` has to name the one that fits.
    """
    try:
        claims = _claims(token, settings)
        if claims["typ"] != "access" or type(claims["gen"]) is not int:
            raise jwt.InvalidTokenError("another kind")
        return AccessToken(_ID.validate_python(claims["sub"]), claims["gen"])
    except (jwt.InvalidTokenError, KeyError, ValueError, TypeError):
        raise InvalidTokenError("The access token is not valid or has expired") from None


def _claims(token: str, settings: Settings) -> dict[str, Any]:
    """Return the claims of a token that is signed by one of the keys.

    The keys are tried in turn. To read `kid` first, and choose by it, would parse the token twice:
    a twentieth of a small request's time (measured).
    """
    for key_id, key in _keys(settings).items():
        with suppress(jwt.InvalidSignatureError):
            decoded = jwt.decode_complete(
                token,
                key,
                algorithms=[_ALGORITHM],
                audience=settings.token_audience,
                issuer=settings.token_issuer,
                options={"require": _CLAIMS, "strict_aud": True},
            )
            header = decoded["header"]
            if header.get("typ") != _TYPE or header["kid"] != key_id:
                raise jwt.InvalidTokenError("another type or key")
            claims: dict[str, Any] = decoded["payload"]
            return claims
    raise jwt.InvalidTokenError("signed by another key")
