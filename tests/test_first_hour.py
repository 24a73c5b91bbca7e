"""What a new user types first, in a fresh bake and in its sub-folders."""

from pathlib import Path

import pytest
from baking import bake, run
from variants import VARIANTS, Variant


@pytest.mark.parametrize("variant", VARIANTS[::3], ids=lambda variant: variant.name)
def test_commands_find_the_same_database_in_any_folder(
    variant: Variant, template: Path, tmp_path: Path
) -> None:
    project = bake(template, tmp_path, db_driver=variant.db_driver, use_auth=variant.use_auth)
    folder = project / "app/core"  # in which a module has the name of one of Python's
    embedded = (
        f"Database: embedded server in {project / '.postgres' / 'data'} (DATABASE_URL is not set)"
    )

    assert embedded in run(folder, "app", "migrate")
    model = project / "app/models/user.py"
    column = "    nickname: Mapped[str | None] = mapped_column(sa.String(9))\n"
    text = model.read_text(encoding="utf-8")
    line = "    display_name: Mapped"
    model.write_text(text.replace(line, column + line), encoding="utf-8")
    written = run(folder, "alembic", "revision", "--autogenerate", "-m", "add nickname")
    assert embedded in written
    assert "Error" not in written
    (revision,) = project.glob("alembic/versions/*_add_nickname.py")
    assert '"nickname"' in revision.read_text(encoding="utf-8")  # formatted by ruff
    assert embedded in run(project, "alembic", "upgrade", "head")

    file = project / ".env"
    file.write_text("DATABASE_URL=postgresql://127.0.0.1:1/app\n", encoding="utf-8")
    with pytest.raises(AssertionError, match=r"exited with 1:\nDatabase: ") as refused:
        run(folder, "app", "prune")
    assert f"(DATABASE_URL in {file})" in str(refused.value)
    assert "Traceback" not in str(refused.value)


def test_two_heads_are_named_in_a_sentence(template: Path, tmp_path: Path) -> None:
    project = bake(template, tmp_path, use_auth=False)
    run(project, "alembic", "revision", "-m", "ours")
    run(project, "alembic", "revision", "-m", "theirs", "--head=base", "--splice")

    with pytest.raises(AssertionError, match="Error: Multiple head revisions") as refused:
        run(project, "app", "migrate")
    assert "Traceback" not in str(refused.value)
