"""A plugin of Alembic, registered in pyproject.toml: lets `alembic` run in any folder."""

import os
from typing import TYPE_CHECKING

from app.core.env_file import PROJECT

if TYPE_CHECKING:
    from alembic.runtime.plugins import Plugin


def setup(_plugin: "Plugin") -> None:
    """Name the configuration of the project, unless another one is named."""
    os.environ.setdefault("ALEMBIC_CONFIG", str(PROJECT / "pyproject.toml"))
