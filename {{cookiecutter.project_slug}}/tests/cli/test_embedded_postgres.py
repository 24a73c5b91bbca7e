"""The embedded server works in any folder."""

import shutil
import sys
from pathlib import Path

import pytest
from sqlalchemy import select, text

from app.cli.commands import CommandError
from app.cli.embedded_postgres import data_folder, embedded_postgres
from app.core.config import parse_database_url
from app.core.database.drivers import run
from tests.postgres import make_test_engine

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="paths of POSIX")


def test_plain_path_is_used_as_it_is() -> None:
    assert data_folder(Path("/srv/shop/.postgres/data")) == Path("/srv/shop/.postgres/data")


def test_variables_of_libpq_do_not_lead_to_another_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "PGHOSTADDR": "127.0.0.1",
        "PGSSLMODE": "require",
        "PGSERVICE": "production",
        "PGTARGETSESSIONATTRS": "standby",
    }.items():
        monkeypatch.setenv(name, value)
    directory = tmp_path / "data"

    with embedded_postgres(directory) as url:
        engine = make_test_engine(parse_database_url(url))

        async def ask() -> str | None:
            async with engine.connect() as connection:
                found: str | None = await connection.scalar(text("SHOW data_directory"))
            await engine.dispose()
            return found

        served = run(engine.url, ask())

    assert served == str(data_folder(directory))
    if data_folder(directory) != directory:
        shutil.rmtree(data_folder(directory).parent)


def test_new_project_at_the_path_of_an_old_one_has_new_data(tmp_path: Path) -> None:
    directory = tmp_path / "a b" / ".postgres" / "data"
    old = data_folder(directory)
    assert data_folder(directory) == old

    shutil.rmtree(directory.parent)
    new = data_folder(directory)

    assert new != old
    for folder in (old, new):
        folder.parent.rmdir()


@pytest.mark.parametrize(
    "name", ["My Projects", 'it\'s $HOME; `x` \\ "q"', "Größe 日本", "a&b|c(d)", "x" * 120]
)
def test_server_starts_whatever_the_path_is(tmp_path: Path, name: str) -> None:
    directory = tmp_path / name / ".postgres" / "data"
    folder = data_folder(directory)
    try:
        with embedded_postgres(directory) as url:
            engine = make_test_engine(parse_database_url(url))

            async def ask() -> int | None:
                async with engine.connect() as connection:
                    number = await connection.scalar(select(1))
                await engine.dispose()
                return number

            assert run(engine.url, ask()) == 1
        assert (folder / "PG_VERSION").exists()
        assert data_folder(directory) == folder
    finally:
        shutil.rmtree(folder.parent, ignore_errors=True)


@pytest.mark.parametrize("character", ['"', "$", "`", "\\"])
def test_environment_in_a_folder_that_the_server_cannot_use_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, character: str
) -> None:
    package = f"/home/a{character}b/embedded_postgres/__init__.py"
    monkeypatch.setattr("app.cli.embedded_postgres.embedded_package.__file__", package)

    with (
        pytest.raises(CommandError, match="move the project, or set DATABASE_URL"),
        embedded_postgres(tmp_path / "data"),
    ):
        pass


def test_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.cli.embedded_postgres._ELSEWHERE", tmp_path)
    folder = data_folder(tmp_path / "a b").parent
    folder.rmdir()
    folder.symlink_to(tmp_path)

    with pytest.raises(OSError, match="belongs to another user"):
        data_folder(tmp_path / "a b")
