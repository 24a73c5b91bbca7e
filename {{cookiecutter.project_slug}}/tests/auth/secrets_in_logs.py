"""Fails each test that logs or prints a password, a key or a token.

Passwords and keys are recognized because they become a `SecretStr`. Tokens are recorded when they
are created.
"""

import secrets
from collections.abc import Callable, Generator, Iterable
from typing import Any, Final

import jwt
import pytest
from pydantic import SecretStr

from app.core.security.tokens import RefreshToken

# Shorter texts also occur in ordinary words. It is the minimum length of a password.
_SHORTEST: Final = 8
# Fewer different characters also occur in what is no secret: a password may be a line of `x`.
_FEWEST: Final = 3

_kept: Final[set[str]] = set()  # of the whole run, because fixtures create them for several tests
_of_this_test: Final[set[str]] = set()


def _note(text: str, noted: set[str]) -> None:
    if len(text.strip()) >= _SHORTEST and len({*text}) >= _FEWEST:
        noted.add(text)


def _note_result(function: Callable[..., str]) -> Callable[..., str]:
    def note(*arguments: Any, **options: Any) -> str:
        result = function(*arguments, **options)
        _note(result, _of_this_test)
        return result

    return note


def _note_value(method: Callable[[Any, str], None]) -> Callable[[Any, str], None]:
    def note(self: Any, value: str) -> None:
        _note(value, _kept)
        method(self, value)

    return note


def pytest_configure() -> None:
    SecretStr.__init__ = _note_value(SecretStr.__init__)  # type: ignore[assignment, method-assign]
    RefreshToken.__str__ = _note_result(RefreshToken.__str__)  # type: ignore[method-assign]
    jwt.encode = _note_result(jwt.encode)
    secrets.token_urlsafe = _note_result(secrets.token_urlsafe)


def found(texts: Iterable[str]) -> list[str]:
    """Return the beginnings of the secrets that the texts contain."""
    together = "\n".join(texts)
    return sorted(
        f"{secret[:3]}... ({len(secret)} characters)"
        for secret in _kept | _of_this_test
        if secret in together
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.when == "teardown":
        leaked = found(text for _, text in report.sections)
        if leaked and report.passed:
            report.outcome = "failed"
            report.longrepr = f"logged or printed: {', '.join(leaked)}"
        _of_this_test.clear()
    return report
