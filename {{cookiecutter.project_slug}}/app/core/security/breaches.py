"""Passwords that are known from breaches of other services.

They are looked up in ranges, as Pwned Passwords publishes them: the lines of a range are the SHA-1
digests that begin with the same five digits, each as `<the other 35 digits>:<times seen>`. So a
service learns five digits, and neither a password nor whether there was a match.
"""

import asyncio
import hashlib
import logging
from http.client import HTTPException
from pathlib import Path
from typing import Final
from urllib.request import Request, urlopen

from pydantic import SecretStr

from app.core.database.budget import require_no_connection
from app.core.security.policy import normalize
from app.core.security.settings import PasswordSettings, is_web_url
from app.exceptions import ValidationError, explain

_logger: Final = logging.getLogger(__name__)

_PREFIX: Final = 5
_TIMEOUT: Final = 2  # seconds; a registration waits no longer for this


async def require_not_breached(
    password: SecretStr, settings: PasswordSettings, *, field: str
) -> None:
    """Raise `ValidationError` for the `field` of the request if a breach has revealed the password.

    Nothing is refused if the check is off, or if the ranges cannot be read, which is logged. Call
    it after the limits on the caller's attempts, because it may call a service.
    """
    if settings.password_breaches and await _is_breached(password, settings.password_breaches):
        raise ValidationError(
            "This password is known from breaches of other services; attackers try it first",
            field=field,
            kind="password_breached",
        )


async def _is_breached(password: SecretStr, source: str) -> bool:
    require_no_connection("while breached passwords are looked up")
    data = normalize(password).encode()
    digest = hashlib.sha1(data, usedforsecurity=False).hexdigest().upper()
    prefix, suffix = digest[:_PREFIX], digest[_PREFIX:]
    try:
        lines = await asyncio.to_thread(_read_range, source, prefix)
    except (OSError, HTTPException) as error:
        _logger.warning("breached passwords cannot be looked up: %s", explain(error))
        return False
    # A service may pad a range with lines that count 0.
    return any(line.startswith(f"{suffix}:") and line != f"{suffix}:0" for line in lines)


def _read_range(source: str, prefix: str) -> list[str]:
    if not is_web_url(source):
        return Path(source, f"{prefix}.txt").read_text(encoding="ascii").splitlines()
    request = Request(source + prefix, headers={"Add-Padding": "true", "User-Agent": "app"})  # noqa: S310 (a setting, not input)
    with urlopen(request, timeout=_TIMEOUT) as response:  # noqa: S310
        content: bytes = response.read()
    return content.decode("ascii", errors="replace").splitlines()
