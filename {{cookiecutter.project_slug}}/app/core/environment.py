"""How settings are read: from the environment, the file `.env`, and files of secrets."""

from typing import Any, Final, Literal, TypeVar, get_args, get_origin

from pydantic import ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.core.env_file import (
    ENCODING,
    ConfigurationError,
    env_file,
    read_env_file,
    read_secrets,
    secrets_dir,
)

# Errors whose own message does not say which values are valid.
_UNCLEAR: Final = {"missing": "not set", "string_pattern_mismatch": "not valid"}

_OTHER_NAMES: Final = {"warn": "warning", "fatal": "critical"}

SettingsT = TypeVar("SettingsT", bound=BaseSettings)


class EnvironmentSettings(BaseSettings):
    """Base class of settings. Create them with `load_settings`, which reads `.env` too.

    An empty variable is unset, because Compose and Helm write unset ones that way.
    """

    model_config = SettingsConfigDict(
        env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    @model_validator(mode="before")
    @classmethod
    def ignore_blanks(cls, values: dict[str, object]) -> dict[str, object]:
        """Treat a blank variable as unset, and strip the blanks around others that are not secret."""
        kept = {name: value for name, value in values.items() if str(value).strip()}
        return {
            name: value.strip() if isinstance(value, str) and not cls._is_secret(name) else value
            for name, value in kept.items()
        }

    @classmethod
    def _is_secret(cls, name: str) -> bool:
        field = cls.model_fields.get(name)
        return field is None or "SecretStr" in str(field.annotation)

    @field_validator("*", mode="before")
    @classmethod
    def ignore_case_of_options(cls, value: object, info: ValidationInfo) -> object:
        """Accept `info` for `INFO`, and the other names that logging has for its levels."""
        annotation = cls.model_fields[info.field_name or ""].annotation
        if get_origin(annotation) is not Literal or not isinstance(value, str):
            return value
        options = {option.lower(): option for option in get_args(annotation)}
        written = _OTHER_NAMES.get(value.lower(), value.lower())
        return options.get(value.lower(), options.get(written, value))


def load_settings(kind: type[SettingsT], **given: Any) -> SettingsT:
    """Create settings from the given values, the environment, `.env` and secrets, in this priority.

    Raises `ConfigurationError` with a line for each invalid variable.
    """
    read_env_file()  # refuses one that cannot be read
    read_secrets(kind.model_fields)  # likewise
    files: dict[str, Any] = {
        "_env_file": env_file(),
        "_env_file_encoding": ENCODING,
        "_secrets_dir": secrets_dir(),
    }
    try:
        return kind(**files, **given)
    except ValidationError as error:
        problems = [
            _describe(kind, item) for item in error.errors(include_url=False, include_context=False)
        ]
    raise ConfigurationError("\n".join(["Invalid settings (see .env.example):", *problems]))


def _describe(kind: type[BaseSettings], error: ErrorDetails) -> str:
    """Return what is wrong, with the value only for items of lists, which are never secret."""
    name, *items = map(str, error["loc"])
    message = error["msg"].removeprefix("Value error, ")
    description = str(kind.model_fields[name].description).removesuffix(".")
    if items:
        reason = f": {message}" if error["type"] == "value_error" else ""
        message = f"{error['input']!r} is not valid{reason}. {description}; with commas between, or as JSON."
    elif error["type"] in _UNCLEAR:
        message = f"{_UNCLEAR[error['type']]}. {description}."
    return f"{name.upper()}: {message}"
