"""The file `.env` of the project, and where a variable is set."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from dotenv import dotenv_values

PROJECT: Final = Path(__file__).parents[2]
ENCODING: Final = "utf-8-sig"  # with or without a byte order mark


class ConfigurationError(Exception):
    """The settings are invalid. The message names each invalid variable."""


def env_file() -> Path:
    """Return the file with settings: `.env` in the project, or the file that `ENV_FILE` names."""
    return Path(os.environ.get("ENV_FILE") or PROJECT / ".env")


def read_env_file() -> Mapping[str, str | None]:
    """Return the variables of the file, none if it does not exist. Raises `ConfigurationError`."""
    if os.environ.get("ENV_FILE") and not env_file().exists():
        raise ConfigurationError(f"ENV_FILE names a file that does not exist: {env_file()}")
    if env_file().is_dir():
        raise ConfigurationError(f"{env_file()} is a folder, not a file with settings")
    try:
        return dotenv_values(env_file(), encoding=ENCODING) if env_file().is_file() else {}
    except UnicodeError:
        raise ConfigurationError(f"{env_file()} is not UTF-8 text: save it as UTF-8") from None
    except OSError as error:
        raise ConfigurationError(f"Cannot read {env_file()}: {error.strerror}") from None


def configured(variable: str) -> tuple[str, str] | None:
    """Return the value of a variable, and where it is set, or None if it is empty or nowhere set.

    Raises `ConfigurationError` if the file cannot be read.
    """
    for source, values in (("the environment", os.environ), (str(env_file()), read_env_file())):
        for name, value in values.items():
            if value and name.upper() == variable:  # settings ignore the case, too
                return value, source
    return None
