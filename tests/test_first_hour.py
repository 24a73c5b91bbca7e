"""What a new user types first, in a fresh bake and in its sub-folders."""

import re
from pathlib import Path

import demo
import pytest
from baking import bake, run
from parameters import FIRST, FIRST_AND_LAST, LAST, in_each_run
from variants import Variant


def add_column_to_users(project: Path, name: str) -> None:
    model = project / "app/models/user.py"
    column = f"    {name}: Mapped[str | None] = mapped_column(sa.String(9))\n"
    text = model.read_text(encoding="utf-8")
    line = "    display_name: Mapped"
    model.write_text(text.replace(line, column + line), encoding="utf-8")


@pytest.mark.parametrize("variant", in_each_run(LAST, slow=FIRST, of=FIRST_AND_LAST))
def test_commands_find_the_same_database_in_any_folder(
    variant: Variant, template: Path, tmp_path: Path
) -> None:
    project = bake(template, tmp_path, db_driver=variant.db_driver, use_auth=variant.use_auth)
    folder = project / "app/core"  # in which a module has the name of one of Python's

    found = re.search(
        r"Database: embedded server in .+ \(DATABASE_URL is not set\)",
        run(folder, "app", "migrate"),
    )
    assert found
    embedded = found[0]
    add_column_to_users(project, "nickname")
    written = run(folder, "alembic", "revision", "--autogenerate", "-m", "add nickname")
    assert embedded in written
    assert "Error" not in written
    (revision,) = project.glob("alembic/versions/*_add_nickname.py")
    assert '"nickname"' in revision.read_text(encoding="utf-8")  # formatted by ruff

    add_column_to_users(project, "pet_name")
    written = run(folder, "app", "revision", "-m", "add pet name")  # migrates this server first
    assert embedded in written
    (revision,) = project.glob("alembic/versions/*_add_pet_name.py")
    assert '"pet_name"' in revision.read_text(encoding="utf-8")
    assert "nickname" not in revision.read_text(encoding="utf-8")
    assert embedded in run(project, "alembic", "upgrade", "head")

    file = project / ".env"
    file.write_text("DATABASE_URL=postgresql://127.0.0.1:1/app\n", encoding="utf-8")
    with pytest.raises(AssertionError, match=r"exited with 1:\nDatabase: ") as refused:
        run(folder, "app", "prune")
    assert f"(DATABASE_URL in {file})" in str(refused.value)
    assert "Traceback" not in str(refused.value)


@pytest.mark.slow
def test_two_heads_are_named_in_a_sentence(template: Path, tmp_path: Path) -> None:
    project = bake(template, tmp_path, use_auth=False)
    run(project, "alembic", "revision", "-m", "ours")
    run(project, "alembic", "revision", "-m", "theirs", "--head=base", "--splice")

    with pytest.raises(
        AssertionError, match="Error: There are several newest revisions"
    ) as refused:
        run(project, "app", "migrate")
    assert "Traceback" not in str(refused.value)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Return where the options of demos that were served are kept, instead of serving them."""
    kept: list[list[str]] = []
    monkeypatch.setattr("demo.DEMO", tmp_path / "demo")
    monkeypatch.setattr("demo.ROOT", tmp_path)

    def serve(options: list[str]) -> int:
        kept.append(options)
        return 0

    monkeypatch.setattr("demo.serve_demo", serve)
    monkeypatch.setattr("logging.disable", lambda: None)
    monkeypatch.setenv("BAKE_WITHOUT_LINK", "1")
    return kept


def test_demo_is_served_again_only_with_the_answers_it_was_baked_with(
    served: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo.main(["use_auth=no"]) == 0
    for arguments in ([], ["use_auth=no"], ["use_auth=false", "db_driver=asyncpg"]):
        assert demo.main(arguments) == 0
    assert demo.main(["use_auth=no", "--port", "8001"]) == 0
    assert served == [[], [], [], [], ["--port", "8001"]]
    capsys.readouterr()

    assert demo.main(["db_driver=psycopg", "use_auth=yes"]) == 1
    assert capsys.readouterr().err == (
        f"{demo.DEMO} was baked with db_driver=asyncpg (not psycopg), use_auth=no (not yes): "
        "remove it to bake it again.\n"
    )
    assert demo.main(["db_driver=mysql"]) == 1
    assert "mysql provided for choice variable db_driver" in capsys.readouterr().err
    for argument in ("nonsense", "db_drive=psycopg", "project_slug=other"):
        assert demo.main([argument]) == 2
        assert capsys.readouterr().err.startswith(f"{argument}: give answers as key=value, ")
    (demo.DEMO / demo.BAKED_WITH).unlink()  # as in a demo of an older version
    assert demo.main(["use_auth=no"]) == 1
    assert "was baked with use_auth=? (not no)" in capsys.readouterr().err
    assert len(served) == 5
