"""How settings are read: from the environment, and from the file `.env` of the project."""

from typing import Any, Final, Literal, TypeVar, get_args, get_origin

from pydantic import ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.core.env_file import ENCODING, ConfigurationError, env_file, read_env_file

# Errors whose own message does not tell which values are right.
_UNCLEAR: Final = {"missing": "not set", "string_pattern_mismatch": "not valid"}

SettingsT = TypeVar("SettingsT", bound=BaseSettings)


class EnvironmentSettings(BaseSettings):
    """Base class of settings. An empty variable is unset: Compose and Helm write unset ones so.

    Create them with `load_settings`, which reads `.env` too.
    """

    model_config = SettingsConfigDict(
        env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    @field_validator("*", mode="before")
    @classmethod
    def ignore_case_of_options(cls, value: object, info: ValidationInfo) -> object:
        """Accept `info` for `INFO`."""
        annotation = cls.model_fields[info.field_name or ""].annotation
        if get_origin(annotation) is not Literal or not isinstance(value, str):
            return value
        return {option.lower(): option for option in get_args(annotation)}.get(
            value.strip().lower(), value
        )


def load_settings(kind: type[SettingsT], **given: Any) -> SettingsT:
    """Create settings from the given values, the environment and `.env`, in this priority.

    Raises `ConfigurationError` with a line for each invalid variable.
    """
    read_env_file()  # refuses one that cannot be read
    try:
        return kind(_env_file=env_file(), _env_file_encoding=ENCODING, **given)
    except ValidationError as error:
        problems = [
            _describe(kind, str(item["loc"][0]), item["type"], item["msg"])
            for item in error.errors(include_url=False, include_context=False, include_input=False)
        ]
    raise ConfigurationError("\n".join(["Invalid settings (see .env.example):", *problems]))


def _describe(kind: type[BaseSettings], name: str, type_: str, message: str) -> str:
    if type_ in _UNCLEAR:
        message = f"{_UNCLEAR[type_]}. {kind.model_fields[name].description}"
    return f"{name.upper()}: {message.removeprefix('Value error, ')}"
