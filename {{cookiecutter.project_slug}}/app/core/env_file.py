"""The files that hold settings, `.env` and one for each secret, and where a variable is set."""

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from dotenv import dotenv_values

PROJECT: Final = Path(__file__).parents[2]
ENCODING: Final = "utf-8-sig"  # with or without a byte order mark
# Where Docker mounts secrets.
_SECRETS_DIR: Final = Path("/run/secrets")


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


def secrets_dir() -> Path | None:
    """Return the folder of secrets: the one that `SECRETS_DIR` names, or else `/run/secrets`, if any.

    Raises `ConfigurationError` if `SECRETS_DIR` names no folder.
    """
    if not (named := os.environ.get("SECRETS_DIR")):
        return _SECRETS_DIR if _SECRETS_DIR.is_dir() else None
    if not Path(named).is_dir():
        raise ConfigurationError(f"SECRETS_DIR names a folder that does not exist: {named}")
    return Path(named)


def read_secrets(names: Collection[str]) -> Mapping[str, str]:
    """Return the contents of the files with these names, in any case, without surrounding blanks.

    Raises `ConfigurationError` for a file that is empty, that cannot be read, or that is a link to
    a place outside of the folder. The message omits the contents.
    """
    if (folder := secrets_dir()) is None:
        return {}
    wanted = {name.upper() for name in names}
    try:
        files = [path for path in sorted(folder.iterdir()) if path.name.upper() in wanted]
    except OSError as error:
        raise ConfigurationError(f"Cannot read {folder}: {error.strerror}") from None
    return {path.name.upper(): _read_secret(path) for path in files}


def _read_secret(path: Path) -> str:
    if path.parent.resolve() not in path.resolve().parents:  # pydantic-settings ignores it
        raise ConfigurationError(f"{path} is a link to a file outside of its folder")
    try:
        value = path.read_text(encoding="utf-8").strip()
    except UnicodeError:
        raise ConfigurationError(f"{path} is not UTF-8 text") from None
    except OSError as error:
        raise ConfigurationError(f"Cannot read {path}: {error.strerror}") from None
    if not value:
        raise ConfigurationError(f"{path} is empty: write the value, or remove the file")
    return value


def configured(variable: str) -> tuple[str, str] | None:
    """Return the value of a variable, and where it is set, or None if it is empty or not set.

    Raises `ConfigurationError` if a file cannot be read.
    """
    for source, values in (
        ("the environment", os.environ),
        (str(env_file()), read_env_file()),
        (str(secrets_dir()), read_secrets([variable])),
    ):
        for name, value in values.items():
            if value and name.upper() == variable:  # settings ignore the case, too
                return value, source
    return None
