"""Migrations from Python: for the command line, the tests and the start of a container."""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import URL

PROJECT = Path(__file__).parents[2]


def alembic_config(database_url: URL) -> Config:
    """Return Alembic's configuration (in pyproject.toml) for a database."""
    config = Config(toml_file=PROJECT / "pyproject.toml")
    config.attributes["database_url"] = database_url
    return config


def migrate(database_url: URL) -> None:
    """Bring the database's schema to the newest revision."""
    command.upgrade(alembic_config(database_url), "head")


@cache
def revisions() -> tuple[str, ...]:
    """Return the revisions that this version knows, first to last."""
    script = ScriptDirectory.from_config(Config(toml_file=PROJECT / "pyproject.toml"))
    return tuple(revision.revision for revision in script.walk_revisions())[::-1]
