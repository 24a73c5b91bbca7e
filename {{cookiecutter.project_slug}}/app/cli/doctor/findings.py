"""What checks are given, and what they return."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from app.core.config import ConfigurationError, DatabaseSettings, Settings, load_settings

_SETTINGS_FIRST: Final = "correct what `settings` says"


class Level(StrEnum):
    """The severity. A warning need not be fixed before the service runs."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """What a check has found, without secrets, and what to do about it. Made by the functions below."""

    level: Level
    found: str
    todo: str  # empty if all is well


def ok(found: str) -> Finding:
    return Finding(Level.OK, found, "")


def warning(found: str, todo: str) -> Finding:
    return Finding(Level.WARNING, found, todo)


def error(found: str, todo: str) -> Finding:
    return Finding(Level.ERROR, found, todo)


class NotCheckedError(Exception):
    """A check is impossible, for a reason that another check reports."""

    def __init__(self, reason: str, todo: str) -> None:
        super().__init__(reason)
        self.todo = todo


@dataclass(frozen=True)
class Examined:
    """The settings to check, as far as they are valid, and how much of the service runs."""

    problems: Sequence[str]
    all_settings: Settings | None
    database_settings: DatabaseSettings | None
    processes: int | None = None  # of the service, by default as WEB_CONCURRENCY says
    workers: int = 1
    seconds: float = 5  # for each check

    @classmethod
    def load(cls, *, processes: int | None = None, workers: int = 1, seconds: float = 5) -> Self:
        """Read the settings. Those of the database may be valid where others are not."""
        problems: Sequence[str] = ()
        settings: Settings | None = None
        database: DatabaseSettings | None = None
        try:
            settings = database = load_settings(Settings)
        except ConfigurationError as invalid:
            heading, *lines = str(invalid).splitlines()
            problems = lines or [heading]
            with suppress(ConfigurationError):
                database = load_settings(DatabaseSettings)
        return cls(problems, settings, database, processes, workers, seconds)

    @property
    def budget(self) -> float:
        """Seconds for the database: less than a check has, so that it can say what did not respond."""
        return self.seconds * 0.8

    @property
    def settings(self) -> Settings:
        """All settings. Raises `NotCheckedError` if one of them is invalid."""
        if self.all_settings is None:
            raise NotCheckedError("the settings are not valid", _SETTINGS_FIRST)
        return self.all_settings

    @property
    def database(self) -> DatabaseSettings:
        """The settings of the database. Raises `NotCheckedError` if one of them is invalid."""
        if self.database_settings is None:
            raise NotCheckedError("the settings of the database are not valid", _SETTINGS_FIRST)
        return self.database_settings


Check = Callable[[Examined], Awaitable[Sequence[Finding]]]
