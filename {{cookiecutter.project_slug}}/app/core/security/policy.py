"""What a password may be. Length counts, and nothing that users would have to invent around."""

import unicodedata
from typing import Final

from pydantic import SecretStr

MIN_LENGTH: Final = 8
MAX_LENGTH: Final = 128


def normalized(password: SecretStr) -> str:
    """Return the one form (NFKC) of a text that keyboards and systems encode in several ways."""
    return unicodedata.normalize("NFKC", password.get_secret_value())
