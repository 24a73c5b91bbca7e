"""The migrations of a project, as Alembic reads them."""

from typing import TYPE_CHECKING

from app.cli.commands import CommandError
from scaffold.project import Project

if TYPE_CHECKING:
    from alembic.script import Script, ScriptDirectory


def scripts_of(project: Project) -> "ScriptDirectory":
    """Return Alembic's view of the revisions."""
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(Config(toml_file=project.root / "pyproject.toml"))


def all_revisions(project: Project) -> "list[Script]":
    """Return all revisions. Raises `CommandError` if one follows a revision that is not there."""
    try:
        return list(scripts_of(project).walk_revisions())
    except KeyError as error:
        raise CommandError(
            f"A migration in alembic/versions follows {error}, which is not there: restore that one, or "
            "change `down_revision`"
        ) from None


def head(project: Project) -> str:
    """Return the revision that the next one follows. Raises `MigrationError` if there are several."""
    from app.core.database.migrations import newest_revision

    return newest_revision(scripts_of(project))
