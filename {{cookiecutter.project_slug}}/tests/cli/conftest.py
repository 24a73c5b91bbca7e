from collections.abc import Generator

import pytest
from sqlalchemy import URL

from tests.postgres import temporary_database


@pytest.fixture
def empty_database(
    template_url: URL, worker_id: str, monkeypatch: pytest.MonkeyPatch
) -> Generator[URL]:
    """A database without tables, which DATABASE_URL names."""
    name = f"{template_url.database}_{worker_id}_cli"
    with temporary_database(template_url, name) as url:
        monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))
        yield url
