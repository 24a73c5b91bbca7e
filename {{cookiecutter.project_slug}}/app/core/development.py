"""Whether the service runs for development, where settings may be unsafe."""

from pydantic import Field, ValidationInfo

from app.core.environment import EnvironmentSettings


class DevelopmentSettings(EnvironmentSettings):
    """Declares DEVELOPMENT before other settings, so that their validators can read it."""

    development: bool = Field(
        default=False,
        description="Accept settings that are unsafe in production, as for `app dev`.",
    )


def refuse_outside_development(reason: str, info: ValidationInfo) -> None:
    """Raise `ValueError` unless the service runs for development."""
    if not info.data.get("development"):
        raise ValueError(f"{reason}. Only DEVELOPMENT=true accepts it")
