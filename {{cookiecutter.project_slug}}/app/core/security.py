"""Password hashing and access tokens."""

import os
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final

import jwt
from anyio import CapacityLimiter, to_thread
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from pydantic import SecretStr

from app.core.config import Settings
from app.exceptions import AuthenticationError

# Pinned: an algorithm taken from the token is the attacker's choice (RFC 8725, section 3.1).
_ALGORITHM: Final = "HS256"

_password_hash: Final = PasswordHash((Argon2Hasher(),))


@cache
def _hashing() -> CapacityLimiter:
    """A hash takes a core for tens of milliseconds and 64 MiB: no more at once than cores."""
    return CapacityLimiter(os.cpu_count() or 1)


@cache
def _dummy_hash() -> str:
    """The hash of no password, made with the parameters of the real ones."""
    return _password_hash.hash(os.urandom(16))


async def hash_password(password: SecretStr) -> str:
    """Hash a password with argon2id, off the event loop."""
    return await to_thread.run_sync(
        _password_hash.hash, password.get_secret_value(), limiter=_hashing()
    )


async def verify_password(password: SecretStr, hashed_password: str | None) -> bool:
    """Say whether a password fits a hash, off the event loop.

    Without a hash the answer is no, after the same work, so that the time does not tell.
    """

    def verify() -> bool:
        dummy = _dummy_hash()  # made on first use, whoever the first caller is
        fits = _password_hash.verify(password.get_secret_value(), hashed_password or dummy)
        return fits and hashed_password is not None

    return await to_thread.run_sync(verify, limiter=_hashing())


def create_access_token(user_id: int, settings: Settings) -> str:
    """Sign a token that names a user, good for `settings.access_token_minutes`."""
    now = datetime.now(UTC)
    claims = {
        "sub": str(user_id),
        "iat": now,
        "exp": now + timedelta(minutes=settings.access_token_minutes),
    }
    return jwt.encode(claims, settings.secret_key.get_secret_value(), algorithm=_ALGORITHM)


def read_access_token(token: str, settings: Settings) -> int:
    """Return the id of the user whom a token names.

    Raises `AuthenticationError` if the signature, the algorithm, a claim or the time is wrong.
    """
    try:
        claims = jwt.decode(
            token,
            settings.secret_key.get_secret_value(),
            algorithms=[_ALGORITHM],
            options={"require": ["sub", "iat", "exp"]},
        )
    except jwt.InvalidTokenError:
        raise AuthenticationError("The access token is not valid or has expired") from None
    return int(claims["sub"])
