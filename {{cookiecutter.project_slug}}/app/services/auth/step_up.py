"""Step-up authentication: sensitive actions require a fresh sign-in (RFC 9470)."""

import time

from app.core.config import Settings
from app.core.security.tokens import AccessToken
from app.exceptions import SignInNotFreshError


def require_fresh_sign_in(token: AccessToken, settings: Settings) -> None:
    """Raise `SignInNotFreshError` if the user signed in more than `FRESH_SIGN_IN_MINUTES` ago.

    Refreshing does not renew the sign-in. If there is a second factor, check `token.methods` too.
    """
    seconds = settings.fresh_sign_in_minutes * 60
    if time.time() - token.signed_in_at > seconds:
        raise SignInNotFreshError(seconds)
