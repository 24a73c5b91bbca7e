"""The migrations of a project, as Alembic reads them."""

from typing import TYPE_CHECKING

from app.core.database.migrations import newest_revision, script_directory
from scaffold.project import Project

if TYPE_CHECKING:
    from alembic.script import Script


def all_revisions(project: Project) -> "list[Script]":
    """Return all revisions. Raises `MigrationError` if one follows a revision that is not there."""
    return list(script_directory(project.root).walk_revisions())


def head(project: Project) -> str:
    """Return the revision that the next one follows. Raises `MigrationError` if there are several."""
    return newest_revision(project.root)
