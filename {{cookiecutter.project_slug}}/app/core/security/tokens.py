"""The three kinds of token (see docs/decisions/0005).

An access token is a signed JWT. A refresh token consists of the key of a session and its current
secret. A one-time token is a secret only. The database stores digests of secrets; they are random,
so they need no slow hash.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from operator import itemgetter
from typing import Annotated, Any, Final, NamedTuple, Self

import jwt
from pydantic import SecretStr, Strict, TypeAdapter

from app.core.config import Settings
from app.core.types import Id
from app.exceptions import InvalidTokenError

# Pinned, because an attacker chooses the algorithm in the token (RFC 8725, section 3.1).
_ALGORITHM: Final = "HS256"
# Keeps other kinds of JWT from being accepted as access tokens (RFC 9068, section 2.1).
_TYPE: Final = "at+jwt"
_REGISTERED_CLAIMS: Final = ["iss", "aud", "sub", "exp", "iat", "jti"]

_Number = Annotated[int, Strict()]  # rejects `true` and `"1"`

_SESSION_KEY_BYTES: Final = 16
_SECRET_BYTES: Final = 32
# Short, because PyJWT checks each character of a token on every request.
_TOKEN_ID_BYTES: Final = 12


class AccessToken(NamedTuple):
    """The user and the session of an access token, and how the user has signed in."""

    user_id: Id  # `sub`
    session_id: Id  # `sid`
    generation: _Number  # `gen`: the user's `token_generation` when the token was issued
    signed_in_at: _Number  # `auth_time`, in Unix time
    methods: list[str]  # `amr` (RFC 8176)


_contents: Final = itemgetter("sub", "sid", "gen", "auth_time", "amr")
_access_token: Final = TypeAdapter(AccessToken)


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """The key of a session, which identifies it, and its secret."""

    session_key: bytes
    secret: bytes = field(repr=False)

    @classmethod
    def new(cls) -> Self:
        return cls(secrets.token_bytes(_SESSION_KEY_BYTES), secrets.token_bytes(_SECRET_BYTES))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Parse the token that a client has sent. Returns None if it is malformed."""
        try:
            raw = urlsafe_b64decode(text.encode("ascii"))
        except ValueError:
            return None
        is_whole = len(raw) == _SESSION_KEY_BYTES + _SECRET_BYTES
        if not is_whole or urlsafe_b64encode(raw).decode() != text:
            return None
        return cls(raw[:_SESSION_KEY_BYTES], raw[_SESSION_KEY_BYTES:])

    def __str__(self) -> str:
        return urlsafe_b64encode(self.session_key + self.secret).decode()

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.secret).digest()

    def successor(self, signing_key: SecretStr) -> Self:
        """Return the next token, which is the same on each call.

        So a client that has lost a response can get the token again, although only digests are
        stored. Deriving it requires `signing_key`, which only the service has.
        """
        key = signing_key.get_secret_value().encode()
        message = b"refresh token\0" + self.session_key + self.secret
        return type(self)(self.session_key, hmac.digest(key, message, "sha256"))


def create_one_time_token() -> str:
    """Return 256 random bits as URL-safe text."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def digest_of(token: str) -> bytes:
    """Return the digest of a one-time token, which the database stores."""
    return hashlib.sha256(token.encode()).digest()


@cache
def _key_id(key: str) -> str:
    return hashlib.sha256(b"key id\0" + key.encode()).hexdigest()[:16]


def _keys(settings: Settings) -> dict[str, str]:
    """Return the accepted keys by id: the current one and the previous one."""
    accepted = (settings.secret_key, settings.secret_key_previous)
    keys = [key.get_secret_value() for key in accepted if key]
    return {_key_id(key): key for key in keys}


def create_access_token(token: AccessToken, settings: Settings) -> str:
    """Return a signed token, valid for `settings.access_token_minutes`."""
    now = datetime.now(UTC)
    claims = {
        "iss": settings.token_issuer,
        "aud": settings.token_audience,
        "sub": str(token.user_id),
        "exp": now + timedelta(minutes=settings.access_token_minutes),
        "iat": now,
        "jti": secrets.token_urlsafe(_TOKEN_ID_BYTES),
        "typ": "access",
        "gen": token.generation,
        "sid": str(token.session_id),
        "auth_time": token.signed_in_at,
        "amr": token.methods,
    }
    key = settings.secret_key.get_secret_value()
    headers = {"typ": _TYPE, "kid": _key_id(key)}
    return jwt.encode(claims, key, algorithm=_ALGORITHM, headers=headers)


def read_access_token(token: str, settings: Settings) -> AccessToken:
    """Verify an access token and return its contents.

    Raises `InvalidTokenError` if the signature, algorithm, type or a claim is invalid, if the token
    has expired, or if `kid` does not name the key that signed it.
    """
    try:
        claims = _claims(token, settings)
        if claims["typ"] != "access":
            raise jwt.InvalidTokenError("wrong kind")
        return _access_token.validate_python(_contents(claims))
    except (jwt.InvalidTokenError, KeyError, ValueError, TypeError):
        raise InvalidTokenError("The access token is not valid or has expired") from None


def _claims(token: str, settings: Settings) -> dict[str, Any]:
    """Return the claims of a token that one of the keys has signed.

    The keys are tried in turn, because choosing one by `kid` would parse the token twice (see
    docs/decisions/0006).
    """
    for key_id, key in _keys(settings).items():
        with suppress(jwt.InvalidSignatureError):
            decoded = jwt.decode_complete(
                token,
                key,
                algorithms=[_ALGORITHM],
                audience=settings.token_audience,
                issuer=settings.token_issuer,
                options={"require": _REGISTERED_CLAIMS, "strict_aud": True},
            )
            header = decoded["header"]
            if header.get("typ") != _TYPE or header["kid"] != key_id:
                raise jwt.InvalidTokenError("wrong type or key id")
            claims: dict[str, Any] = decoded["payload"]
            return claims
    raise jwt.InvalidTokenError("signed by an unknown key")
