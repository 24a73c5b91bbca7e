"""The index needs the extension pg_trgm, which not every role may create."""

from collections.abc import Generator
from typing import Final

import pytest
from alembic import command
from alembic.util import CommandError
from sqlalchemy import URL

from app.core.database.migrations import alembic_config
from tests.migrations.databases import database_at
from tests.postgres import execute

REVISION_BEFORE: Final = "7b90d4e2c158"
REVISION: Final = "0c5d8e2f7a34"


@pytest.fixture
def url(template_url: URL, worker_id: str) -> Generator[URL]:
    """A database at the previous revision."""
    name = f"{template_url.database}_{worker_id}_trigrams"
    with database_at(REVISION_BEFORE, template_url, name) as url:
        yield url


@pytest.fixture
def url_of_owner(url: URL) -> Generator[URL]:
    """The same, as a role that owns the tables, but not the database."""
    role = f"owner_{url.database}"
    execute(
        url,
        f"CREATE ROLE {role}",
        f"GRANT CREATE ON SCHEMA public TO {role}",
        f"ALTER TABLE users OWNER TO {role}",
        f"ALTER TABLE alembic_version OWNER TO {role}",
    )
    yield url.update_query_dict({"options": f"-c role={role}"})
    execute(url, f"DROP OWNED BY {role} CASCADE", f"DROP ROLE {role}")


def test_role_that_may_not_create_the_extension_is_told_who_may(url_of_owner: URL) -> None:
    with pytest.raises(CommandError) as error:
        command.upgrade(alembic_config(url_of_owner), REVISION)

    assert "permission denied" in str(error.value)
    assert "owner of the database run CREATE EXTENSION pg_trgm in it" in str(error.value)
    assert "\n" not in str(error.value)


def test_role_needs_no_rights_if_the_extension_exists(url: URL, url_of_owner: URL) -> None:
    execute(url, "CREATE EXTENSION pg_trgm")

    command.upgrade(alembic_config(url_of_owner), REVISION)
    command.downgrade(alembic_config(url_of_owner), REVISION_BEFORE)
    command.upgrade(alembic_config(url_of_owner), REVISION)
