"""Migrations from Python: for the command line, the tests and the start of a container.

Alembic is imported where it is used: it is a fifth of the app's imports, and serving needs it once.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import URL

if TYPE_CHECKING:
    from alembic.config import Config

PROJECT = Path(__file__).parents[3]


def _config() -> Config:
    from alembic.config import Config

    return Config(toml_file=PROJECT / "pyproject.toml")


def alembic_config(database_url: URL) -> Config:
    """Return Alembic's configuration (in pyproject.toml) for a database."""
    config = _config()
    config.attributes["database_url"] = database_url
    return config


def migrate(database_url: URL) -> None:
    """Bring the database's schema to the newest revision."""
    from alembic import command

    command.upgrade(alembic_config(database_url), "head")


@cache
def revisions() -> tuple[str, ...]:
    """Return the revisions that this version knows, first to last."""
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(_config())
    return tuple(revision.revision for revision in script.walk_revisions())[::-1]
