"""Passwords, tokens and audit events.

May import the settings, the database and observability packages, and nothing of HTTP; import-linter
enforces it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from app.core.security.passwords import hash_password as hash_password
    from app.core.security.passwords import verify_password as verify_password
    from app.core.security.tokens import create_access_token as create_access_token
    from app.core.security.tokens import read_access_token as read_access_token
else:
    _MODULES: Final = {
        "hash_password": "passwords",
        "verify_password": "passwords",
        "create_access_token": "tokens",
        "read_access_token": "tokens",
    }

    def __getattr__(name: str) -> Any:
        """Import on first use, because these modules and the settings import each other."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
