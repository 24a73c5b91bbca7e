"""Migrations from Python: for the command line, the tests and the start of a container."""

from pathlib import Path

from alembic import command
from alembic.config import Config
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
