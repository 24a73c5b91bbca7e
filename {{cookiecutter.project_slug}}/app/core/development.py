"""Whether the service runs for development, where settings may be unsafe."""

from typing import Final

from pydantic import Field, ValidationInfo

from app.core.environment import EnvironmentSettings

_THIS_MACHINE: Final = {"localhost", "127.0.0.1", "::1"}


class DevelopmentSettings(EnvironmentSettings):
    """The setting by which other settings know. It comes first, so that their checks can read it."""

    development: bool = Field(
        default=False,
        description="Accept settings that are unsafe in production, as for `app dev`.",
    )


def refuse_outside_development(reason: str, info: ValidationInfo) -> None:
    """Raise `ValueError` unless the service runs for development."""
    if not info.data.get("development"):
        raise ValueError(f"{reason}. Only DEVELOPMENT=true accepts it")


def is_this_machine(host: str | None) -> bool:
    """Return whether a host is this machine, so that nothing to it crosses a network."""
    return host in _THIS_MACHINE
