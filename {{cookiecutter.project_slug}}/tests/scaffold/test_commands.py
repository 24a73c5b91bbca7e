"""`app new` and `app remove`, on a copy of the project."""

import ast
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import main as main  # registers the commands
from app.cli.commands import CommandError
from app.cli.commands import commands as registered
from app.core.database.migrations import MigrationError
from app.core.env_file import PROJECT
from scaffold import commands
from scaffold.changes import Changes
from tests.scaffold.conftest import Disk, files_of

Command = Callable[..., list[str]]
FIELDS = ("title:str:200^", "body:text", "published_at:datetime?", "author:user")


def test_resource_changes_three_lines_elsewhere(checkout: Path, new: Command) -> None:
    before = files_of(checkout)

    told = new("quokka", *FIELDS)

    after = files_of(checkout)
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {"app/models/__init__.py", "app/routes/__init__.py"}
    written = {line.split()[1] for line in told if line.startswith("created")}
    assert written == after.keys() - before.keys()
    lines = [set(statements(after[name])) - set(statements(before[name])) for name in changed]
    assert sum(map(len, lines)) == 3
    assert any(line.strip().startswith("uv run pytest") for line in told)


def statements(source: bytes) -> list[str]:
    """Return one line for each statement, however many lines the formatter has given it."""
    return ast.unparse(ast.parse(source)).splitlines()


def test_next_command_is_one_that_works_beside_the_service(
    new: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert new("quokka", *FIELDS)[-1].startswith("  uv run app dev ")

    monkeypatch.setattr(commands, "is_dev_running", lambda: True)
    assert new("wombat", *FIELDS)[-1].startswith("  uv run app migrate ")


def test_rows_are_data_of_their_owner_alone(checkout: Path, new: Command) -> None:
    """`app export-user` follows the other foreign keys, and would hand out what others own."""
    links = ("friends:many:user", "related:many:quokka")
    new("quokka", "author:user", "reviewer:user?", *links, "title:str:20")
    new("profile", "person:user?", "title:str:20")

    text = (checkout / "app/models/quokka.py").read_text(encoding="utf-8")
    keys = re.findall(r'ForeignKey\(\s*"(\w+)\.id".*?info=(.*?)\n', text, re.DOTALL)
    assert [(table, '{"personal": False}' in info) for table, info in keys] == [
        *(("quokkas", True), ("users", False)),  # who is a friend of a quokka
        *(("quokkas", False), ("quokkas", True)),  # to what it is related
        *(("users", False), ("users", True)),  # the author, the reviewer
    ]
    assert "personal" not in (checkout / "app/models/profile.py").read_text(encoding="utf-8")

    new("comment", "on:quokka", "writer:user?", "title:str:20")
    new("leaf", "of:quokka", "title:str:20")
    text = (checkout / "app/models/comment.py").read_text(encoding="utf-8")
    assert re.findall(r'ForeignKey\(\s*"(\w+)\.id"[^)]*\)[^)]*personal', text) == ["quokkas"]
    assert "personal" not in (checkout / "app/models/leaf.py").read_text(encoding="utf-8")


def look_at(told: list[str]) -> list[str]:
    """Return the decisions that the definition leaves open, as `new` prints them."""
    begin = told.index("Look at:") + 1
    return [line.strip() for line in told[begin : told.index("", begin)]]


def test_command_says_what_to_look_at(new: Command) -> None:
    assert look_at(new("quokka", *FIELDS)) == [
        "who may change a quokka: app/services/quokka_service.py (require_owner_or_admin)",
        "who may read quokkas, now anyone: app/routes/quokkas.py",
        "if the author is deleted: ON DELETE CASCADE in app/models/quokka.py",
    ]
    fields = ("born_on:date?^", "diet:enum:grass,leaves^", "size:int^")
    references = ("best_friend:quokka", "keeper:user?")
    assert look_at(new("wallaby", *fields, *references)) == [
        "who may change a wallaby: app/routes/wallabies.py (require_admin)",
        "who may read wallabies, now anyone: app/routes/wallabies.py",
        "if the best friend is deleted: ON DELETE RESTRICT in app/models/wallaby.py",
        "if the keeper is deleted: ON DELETE SET NULL in app/models/wallaby.py",
        "lists are filtered by born_on, and not sorted by it: pages need a value in each row",
        "lists are filtered by diet, and not sorted by it: the type enum has no order that callers know",
    ]


def test_dry_run_shows_what_would_be_written_and_writes_nothing(
    checkout: Path, new: Command, remove: Command
) -> None:
    before = files_of(checkout)

    (diff,) = new("quokka", *FIELDS, dry_run=True)

    assert "+++ b/app/models/quokka.py\n" in diff
    assert "+from app.models.quokka import Quokka as Quokka\n" in diff
    assert files_of(checkout) == before
    new("quokka", *FIELDS)
    before = files_of(checkout)
    (diff,) = remove("quokka", dry_run=True)
    assert "-from app.models.quokka import Quokka as Quokka\n" in diff
    assert files_of(checkout) == before


def test_removing_undoes_what_new_has_done(checkout: Path, new: Command, remove: Command) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=checkout, check=True)
    before = files_of(checkout)
    new("quokka", *FIELDS)
    new("wombat", "quokka:quokka", "author:user", "text:text")

    told: list[str] = []
    lines = commands.remove("quokka", drop_table=False, dry_run=False, confirm=lambda _: None)
    with pytest.raises(CommandError, match="quokka is used by others"):
        told.extend(lines)
    assert told[-1] == "  uv run app remove wombat"
    remove("wombat")
    remove("quokka")

    assert files_of(checkout) == before


def test_second_time_is_refused(checkout: Path, new: Command) -> None:
    new("quokka", *FIELDS)
    before = files_of(checkout)

    with pytest.raises(CommandError, match="quokka is there already"):
        new("quokka", *FIELDS)

    assert files_of(checkout) == before


def test_file_in_the_way_is_refused(checkout: Path, new: Command) -> None:
    (checkout / "app/services").mkdir()
    (checkout / "app/services/quokka_service.py").touch()

    with pytest.raises(CommandError, match=r"app/services/quokka_service\.py"):
        new("quokka", *FIELDS)


def test_package_that_would_hide_a_module_is_refused(checkout: Path, new: Command) -> None:
    new("quokka", *FIELDS)
    (checkout / "app/models/wombat").mkdir()
    (checkout / "app/models/wombat/__init__.py").touch()
    before = files_of(checkout)

    with pytest.raises(CommandError, match=r"wombat is there already: app/models/wombat\.py"):
        new("wombat", *FIELDS)
    with pytest.raises(CommandError, match=r"app/models/wombat\.py is there already"):
        list(commands.rename("quokka", "wombat", plural="", dry_run=False))

    assert files_of(checkout) == before


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("final", "title:str:20"),  # a class, and one of typing
        ("service", "title:str:20"),  # a variable, and a function that routes call
    ],
)
def test_name_that_its_modules_import_is_refused(
    checkout: Path, new: Command, name: str, field: str
) -> None:
    before = files_of(checkout)

    with pytest.raises(CommandError, match="imports something else of this name"):
        new(name, field)

    assert files_of(checkout) == before


def folders_without_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_dir() and not any(path.iterdir())]


def test_failure_half_way_restores_the_files(checkout: Path, new: Command, disk: Disk) -> None:
    before = files_of(checkout)
    disk.refused = "app/routes/__init__.py"

    with pytest.raises(CommandError, match=r"Nothing was changed: app/routes/__init__\.py: Oper"):
        new("quokka", *FIELDS)

    assert disk.steps > 8
    assert files_of(checkout) == before
    assert not folders_without_files(checkout)


@pytest.mark.parametrize("room", [0, 3_000, 10_000])
def test_full_disk_changes_nothing_and_names_the_file(
    checkout: Path, new: Command, disk: Disk, room: int
) -> None:
    new("quokka", *FIELDS)
    model = checkout / "app/models/quokka.py"
    model.write_text(model.read_text(encoding="utf-8") + "# ours\n", encoding="utf-8")
    before = files_of(checkout)
    disk.room = room

    reason = r"Nothing was changed: [\w/]+\.py: No space left on device$"
    with pytest.raises(CommandError, match=reason):
        list(commands.rename("quokka", "koala", plural="", dry_run=False))

    assert files_of(checkout) == before


def test_changes_are_undone_on_a_disk_that_has_become_full(tmp_path: Path, disk: Disk) -> None:
    """What is new goes first, and then there is room for what was there before."""
    before = {"a": b"1" * 100, "b": b"2" * 100}
    for name, content in before.items():
        (tmp_path / name).write_bytes(content)

    def spoil() -> None:
        with Changes(tmp_path, {"a": None, "b": "3" * 10, "new": "4" * 200}).applied():
            disk.room = 0
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        spoil()

    assert files_of(tmp_path) == before


def test_file_is_deleted_only_when_the_others_are_in_their_places(
    tmp_path: Path, disk: Disk
) -> None:
    (tmp_path / "old").write_bytes(b"old")
    was_there = (tmp_path / "old").stat().st_ino
    disk.refused = "new"

    with pytest.raises(CommandError, match="Nothing was changed: new: Operation not permitted"):
        Changes(tmp_path, {"old": None, "new": "new"}).apply()

    assert (tmp_path / "old").stat().st_ino == was_there


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_files_keep_their_permissions_and_links(tmp_path: Path) -> None:
    (tmp_path / "script").write_bytes(b"before")
    (tmp_path / "script").chmod(0o750)
    (tmp_path / "link").symlink_to("script")

    Changes(tmp_path, {"link": "after", "new": "new"}, {"new": 0o755}).apply()

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "script").read_bytes() == b"after"
    assert (tmp_path / "script").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o755


def test_file_where_a_folder_is_needed_restores_the_files(checkout: Path, new: Command) -> None:
    (checkout / "tests").mkdir()
    (checkout / "tests/routes").touch()
    before = files_of(checkout)

    with pytest.raises(CommandError, match=r"Nothing was changed: .*tests/routes"):
        new("quokka", *FIELDS)

    assert files_of(checkout) == before
    assert not (checkout / "app/services").exists()


def test_signal_half_way_restores_the_files_even_if_it_is_repeated(
    checkout: Path, new: Command, disk: Disk, ending: signal.Signals
) -> None:
    before = files_of(checkout)
    disk.signals = {8: ending, 10: ending}
    handler = signal.getsignal(ending)

    with pytest.raises((SystemExit, KeyboardInterrupt)):
        new("quokka", *FIELDS)

    assert disk.steps > 10
    assert files_of(checkout) == before
    assert signal.getsignal(ending) == handler


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("step", [2, 3, 6, 10, 11])
def test_command_that_was_killed_half_way_is_undone_by_removing(
    checkout: Path,
    new: Command,
    remove: Command,
    disk: Disk,
    monkeypatch: pytest.MonkeyPatch,
    step: int,
) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=checkout, check=True)
    before = files_of(checkout)
    disk.signals = {step: signal.SIGTERM}
    with monkeypatch.context() as patches:
        patches.setattr(Changes, "_undo", lambda *_: None)  # as SIGKILL has it
        with pytest.raises(SystemExit):
            new("quokka", *FIELDS)

    with pytest.raises(CommandError, match=r"there already: .*`uv run app remove quokka` takes"):
        new("quokka", *FIELDS)
    with pytest.raises(CommandError, match="is not all there"):
        list(commands.rename("quokka", "koala", plural="", dry_run=False))
    remove("quokka")

    left = files_of(checkout)
    written_beside = {name for name in left if re.search(r"/\.[^/]+\.[0-9a-f]{8}$", name)}
    assert {name: left[name] for name in left.keys() - written_beside} == before


def test_list_that_names_a_resource_in_another_way_is_in_the_way(
    checkout: Path, new: Command, remove: Command
) -> None:
    new("quokka", *FIELDS)
    models = checkout / "app/models/__init__.py"
    text = models.read_text(encoding="utf-8")
    models.write_text(text.replace("from app.models.quokka ", "from .quokka "), encoding="utf-8")
    before = files_of(checkout)

    with pytest.raises(CommandError, match="quokka is not as it was written"):
        remove("quokka")

    assert files_of(checkout) == before


def test_files_that_cannot_be_restored_are_named_and_the_others_restored(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).write_text("before", encoding="utf-8")

    def spoil() -> None:
        with Changes(tmp_path, {"first": "after", "second": "after"}).applied():
            (tmp_path / "first").unlink()
            (tmp_path / "first").mkdir()
            raise KeyboardInterrupt

    with pytest.raises(CommandError, match=r"could not be restored: first: "):
        spoil()

    assert (tmp_path / "second").read_text(encoding="utf-8") == "before"


HOLD = """
import sys
from pathlib import Path
from app.cli import dev_server, scaffolding

def lines():
    yield "started"
    sys.stdin.read()

dev_server.DIRECTORY = Path(sys.argv[1])
scaffolding.change_project(lines(), dry_run=False)
"""


@pytest.fixture
def changing(checkout: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process, in which a command is changing the project."""
    with subprocess.Popen(
        [sys.executable, "-uc", HOLD, str(checkout / ".postgres")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "started\n"
        yield process
        process.kill()


@pytest.mark.parametrize(
    "arguments",
    [
        ["new", "wombat", "name:str:50"],
        ["remove", "quokka", "--yes"],
        ["rename", "quokka", "koala"],
        ["recipe", "add", "wombats"],
        ["recipe", "remove", "wombats"],
        ["revision", "--message", "wombats", "--empty"],
    ],
)
def test_one_command_changes_the_project_at_a_time(
    checkout: Path,
    new: Command,
    changing: subprocess.Popen[str],
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # It would write to this project instead of the copy.
    monkeypatch.setattr("app.core.database.migrations.write_revision", lambda *_, **__: None)
    new("quokka", *FIELDS)
    before = files_of(checkout)

    second = CliRunner().invoke(registered, arguments)

    assert isinstance(second.exception, CommandError)
    assert "Another `app` command is changing the project" in str(second.exception)
    assert files_of(checkout) == before


def test_dry_run_waits_for_no_other_command(changing: subprocess.Popen[str]) -> None:
    shown = CliRunner().invoke(registered, ["new", "quokka", "name:str:50", "--dry-run"])

    assert "+++ b/app/models/quokka.py\n" in shown.stdout


def test_command_that_was_killed_does_not_keep_others_from_changing_the_project(
    checkout: Path, changing: subprocess.Popen[str]
) -> None:
    changing.kill()
    changing.wait()

    assert CliRunner().invoke(registered, ["new", "quokka", "name:str:50"]).exit_code == 0
    assert (checkout / ".postgres/changes").exists()
    assert "\n.postgres/\n" in (PROJECT / ".gitignore").read_text(encoding="utf-8")


def test_edited_resource_is_not_removed_but_listed(checkout: Path, new: Command) -> None:
    new("quokka", *FIELDS)
    model = checkout / "app/models/quokka.py"
    model.write_text(model.read_text(encoding="utf-8") + "# ours\n", encoding="utf-8")
    before = files_of(checkout)
    told: list[str] = []
    lines = commands.remove("quokka", drop_table=False, dry_run=False, confirm=lambda _: None)

    with pytest.raises(CommandError, match="Nothing was removed"):
        told.extend(lines)

    assert "  app/models/quokka.py has been edited" in told
    assert "  delete app/routes/quokkas.py" in told
    assert "  change app/routes/__init__.py" in told
    assert any("`uv run app remove quokka --dry-run` shows" in line for line in told)
    lines = commands.remove("quokka", drop_table=False, dry_run=True, confirm=lambda _: None)
    with pytest.raises(CommandError, match="Nothing was removed: quokka is not as it was written"):
        told.extend(lines)
    assert "-    quokkas.router,\n" in told[-1]
    assert files_of(checkout) == before


def test_later_migration_follows_the_one_before_instead(
    checkout: Path, new: Command, remove: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "sys.dont_write_bytecode", True
    )  # it tells no two texts of one second apart
    subprocess.run(["git", "init", "--quiet"], cwd=checkout, check=True)
    before = files_of(checkout)
    new("quokka", *FIELDS)
    new("wombat", "text:str:40!")
    (first,) = checkout.glob("alembic/versions/*_add_quokkas_table.py")
    (second,) = checkout.glob("alembic/versions/*_add_wombats_table.py")
    follows = first.read_text(encoding="utf-8").split('down_revision: str | None = "')[1][:12]

    remove("quokka")

    assert f'down_revision: str | None = "{follows}"' in second.read_text(encoding="utf-8")
    remove("wombat")  # which nobody has edited
    assert files_of(checkout) == before


@pytest.mark.filterwarnings("ignore:Revision .* is not present")
def test_migration_that_follows_none_is_named(checkout: Path, new: Command) -> None:
    new("quokka", *FIELDS)
    new("wombat", "text:str:40!")
    (first,) = checkout.glob("alembic/versions/*_add_quokkas_table.py")
    revision = first.stem.split("_")[3]
    first.unlink()

    lines = commands.remove("wombat", drop_table=False, dry_run=False, confirm=lambda _: None)
    missing = f"after the revision '{revision}', whose file is missing .* Restore"
    with pytest.raises(MigrationError, match=missing):
        list(lines)


def test_renamed_resource_is_as_if_it_had_been_written_by_that_name(
    checkout: Path, new: Command, remove: Command
) -> None:
    before = files_of(checkout)
    new("koala", *FIELDS)
    expected = files_of(checkout)
    remove("koala")
    new("quokka", *FIELDS)

    list(commands.rename("quokka", "koala", plural="", dry_run=False))

    renamed = files_of(checkout)
    stems = {without_revision(name): name for name in renamed}
    assert stems.keys() == {without_revision(name) for name in expected}
    for name, content in expected.items():
        if name.startswith(("app/", "tests/")):
            assert renamed[name] == content, name
    remove("koala")
    assert files_of(checkout) == before


def without_revision(name: str) -> str:
    return re.sub(r"_[0-9a-f]{12}_", "_", name)


def test_resource_is_not_renamed_to_one_that_is_there_or_while_others_use_it(
    checkout: Path, new: Command
) -> None:
    new("quokka", *FIELDS)
    before = files_of(checkout)
    for name, reason in (("user", "user is there already"), ("big_quokka", "Choose one word")):
        with pytest.raises(CommandError, match=reason):
            list(commands.rename("quokka", name, plural="", dry_run=False))
    assert files_of(checkout) == before
    new("wombat", "quokka:quokka", "text:text")
    before = files_of(checkout)

    with pytest.raises(CommandError, match="Others use quokka"):
        list(commands.rename("quokka", "koala", plural="", dry_run=False))

    assert files_of(checkout) == before


def test_module_in_use_keeps_a_resource_from_being_renamed_whatever_it_is_called(
    checkout: Path, new: Command
) -> None:
    new("quokka", *FIELDS)
    (checkout / "app/models/edited.py").write_text("from app.models.quokka import Quokka\n")
    before = files_of(checkout)

    with pytest.raises(CommandError, match=r"Others use quokka.*\n  app/models/edited\.py"):
        list(commands.rename("quokka", "koala", plural="", dry_run=False))

    assert files_of(checkout) == before


def test_resource_is_not_renamed_if_its_lines_in_other_files_have_changed(
    checkout: Path, new: Command
) -> None:
    new("quokka", *FIELDS)
    models = checkout / "app/models/__init__.py"
    text = models.read_text(encoding="utf-8")
    models.write_text(text.replace("import Quokka as Quokka", "import Quokka"), encoding="utf-8")

    with pytest.raises(
        CommandError, match=r"Lines of quokka have changed.*\n  app/models/__init__"
    ):
        list(commands.rename("quokka", "koala", plural="", dry_run=False))


def test_tests_of_a_resource_expect_nothing_of_rows_that_are_only_marked_as_deleted(
    checkout: Path, new: Command
) -> None:
    new("quokka", *FIELDS)
    new("koala", "quokka:quokka", "text:text")
    model = checkout / "app/models/quokka.py"
    marked = model.read_text(encoding="utf-8").replace("(Base)", "(soft_delete.SoftDeletes, Base)")
    model.write_text(marked, encoding="utf-8")
    new("wombat", "quokka:quokka", "text:text")

    test = "test_quokka_of_{}_cannot_be_deleted"
    assert test.format("koala") in (checkout / "tests/routes/test_koalas.py").read_text("utf-8")
    assert test.format("wombat") not in (checkout / "tests/routes/test_wombats.py").read_text(
        "utf-8"
    )


def test_resource_is_not_renamed_to_one_whose_path_is_served(checkout: Path, new: Command) -> None:
    new("quokka_pen", *FIELDS)
    router = 'router = APIRouter(prefix="/wombat-pens")\n'
    (checkout / "app/routes/pens.py").write_text(router, encoding="utf-8")

    with pytest.raises(CommandError, match="has routes at /wombat-pens already"):
        list(commands.rename("quokka_pen", "wombat_pen", plural="", dry_run=False))


@pytest.mark.parametrize(
    "function", ["list_yaks", "read_yak", "create_yak", "update_yak", "delete_yak"]
)
def test_name_of_a_route_is_not_given_twice(checkout: Path, new: Command, function: str) -> None:
    """It is the operation id, which generated clients need to be unique."""
    new("quokka", *FIELDS)
    route = f"async def {function}(herd: int) -> None: ...\n"
    (checkout / "app/routes/herds.py").write_text(route, encoding="utf-8")
    before = files_of(checkout)

    with pytest.raises(CommandError, match=f"has a route {function} already, .* another name"):
        new("yak", *FIELDS)
    with pytest.raises(CommandError, match=f"has a route {function} already"):
        list(commands.rename("quokka", "yak", plural="", dry_run=False))

    assert files_of(checkout) == before


def ruff(checkout: Path, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "ruff", *arguments, "--no-cache"], cwd=checkout, check=True
    )


def test_model_with_a_long_name_is_imported_on_several_lines(
    checkout: Path, new: Command, remove: Command
) -> None:
    before = files_of(checkout)
    short, long = "quokka_pen", "quokka_pen_relationship_observation"
    new(long, "title:str:200")

    ruff(checkout, "format", "--check", "--quiet", "app/models")
    ruff(checkout, "check", "--quiet", "app/models")
    list(commands.rename(long, short, plural="", dry_run=False))
    assert "from app.models.quokka_pen import QuokkaPen as QuokkaPen\n" in (
        checkout / "app/models/__init__.py"
    ).read_text(encoding="utf-8")
    list(commands.rename(short, long, plural="", dry_run=False))
    ruff(checkout, "format", "--check", "--quiet", "app/models")
    remove(long)
    assert files_of(checkout) == before


def test_lines_of_a_resource_are_found_after_somebody_has_formatted_them(
    checkout: Path, new: Command, remove: Command
) -> None:
    before = files_of(checkout)
    new("quokka", *FIELDS)
    models = checkout / "app/models/__init__.py"
    line = "from app.models.quokka import Quokka as Quokka\n"
    text = models.read_text(encoding="utf-8")
    assert line in text
    several = "from app.models.quokka import (\n    Quokka as Quokka,  # ours\n)\n"
    models.write_text(text.replace(line, several), encoding="utf-8")

    remove("quokka")

    assert files_of(checkout) == before


def test_router_does_not_take_the_name_of_another_one(checkout: Path, new: Command) -> None:
    routes = checkout / "app/routes/__init__.py"
    text = routes.read_text(encoding="utf-8")
    routes.write_text(f"from app.routes.inner import wombats\n{text}", encoding="utf-8")
    before = files_of(checkout)

    with pytest.raises(
        CommandError, match=r"name for wombats: app/routes/__init__\.py imports one"
    ):
        new("wombat", *FIELDS)

    assert files_of(checkout) == before


def test_router_that_has_another_name_keeps_it(checkout: Path, new: Command) -> None:
    routes = checkout / "app/routes/__init__.py"
    text, count = re.subn(
        r"\busers(?=[,\n])", "users as people", routes.read_text(encoding="utf-8")
    )
    assert count == 1  # in the import; the list of routers has `users.router`
    routes.write_text(text.replace(" users.router", " people.router"), encoding="utf-8")

    new("quokka", *FIELDS)

    assert "users as people" in routes.read_text(encoding="utf-8")


def test_model_does_not_take_the_name_of_something_else(checkout: Path, new: Command) -> None:
    """Importing `app.models.metadata` would make that module the `metadata` of `app.models`."""
    new("quokka", *FIELDS)
    before = files_of(checkout)

    reason = r"name for metadata: app/models/__init__\.py imports one from app\.core"
    with pytest.raises(CommandError, match=reason):
        new("metadata", *FIELDS, plural="metadata_entries")
    with pytest.raises(CommandError, match=reason):
        list(commands.rename("quokka", "metadata", plural="descriptions", dry_run=False))

    assert files_of(checkout) == before


@pytest.mark.parametrize(("content", "said"), [(b"def (\n", "line 1: "), (b"\xff", "is not UTF-8")])
def test_module_that_cannot_be_read_is_named(
    checkout: Path, new: Command, remove: Command, content: bytes, said: str
) -> None:
    new("quokka", *FIELDS)
    (checkout / "app/routes/broken.py").write_bytes(content)

    with pytest.raises(CommandError, match=rf"^app/routes/broken\.py,? {said}"):
        remove("quokka")


def test_patterns_of_a_resource_take_no_other_one_in(
    checkout: Path, new: Command, remove: Command
) -> None:
    """The demo's record has patterns, such as `app/*/post_*.py`."""
    before = files_of(checkout)
    new("quokka_office", *FIELDS)
    office = files_of(checkout)
    new("quokka", *FIELDS)
    file = checkout / "scaffold/resources/quokka.json"
    record = json.loads(file.read_text(encoding="utf-8"))
    record["files"] |= {"app/*/quokka_*.py": None, "tests/**/test_quokka_*.py": None}
    file.write_text(json.dumps(record), encoding="utf-8")

    list(commands.rename("quokka", "koala", plural="", dry_run=False))

    assert files_of(checkout).keys() >= office.keys()
    remove("koala")
    assert files_of(checkout) == office
    remove("quokka_office")
    assert files_of(checkout) == before


@pytest.mark.parametrize(
    ("change", "is_of_quokkas"),
    [
        ('op.add_column("quokkas", sa.Column("age", sa.Integer()))', True),
        ('op.execute("UPDATE quokkas SET title = body")', True),
        ('op.add_column("users", sa.Column("quokkas", sa.Integer()))', False),
        ('op.create_index("ix_quokkas", "users", ["id"])', False),
    ],
)
def test_migration_of_ones_own_is_in_the_way(
    checkout: Path, new: Command, remove: Command, change: str, *, is_of_quokkas: bool
) -> None:
    new("quokka", *FIELDS)
    (first,) = checkout.glob("alembic/versions/*_add_quokkas_table.py")
    own = first.with_name("2099_01_01_aaaaaaaaaaaa_change.py")
    own.write_text(
        f'"""Change quokkas."""\nrevision = "aaaaaaaaaaaa"\ndown_revision = "{first.stem.split("_")[3]}"\n'
        f"def upgrade():\n    {change}\n",
        encoding="utf-8",
    )

    if is_of_quokkas:
        with pytest.raises(CommandError, match="quokka is not as it was written"):
            remove("quokka")
        with pytest.raises(CommandError, match="refers to the table quokkas"):
            list(commands.rename("quokka", "koala", plural="", dry_run=False))
    else:
        remove("quokka")


@pytest.mark.parametrize(
    ("old", "meaning"),
    [("etag", r"other code .*\betag_of"), ("yak", "the model YakShelf")],
)
def test_resource_is_not_renamed_if_its_name_has_another_meaning(
    checkout: Path, new: Command, old: str, meaning: str
) -> None:
    new("yak_shelf", "name:str:50")
    new(old, "name:str:50", "shelf:yak_shelf")
    before = files_of(checkout)

    with pytest.raises(CommandError, match=f"{old} cannot be renamed, .* also in {meaning}"):
        list(commands.rename(old, "koala", plural="", dry_run=False))
    assert files_of(checkout) == before


@pytest.mark.parametrize("field", ["status:enum:yak,published", "status:str:20=yak"])
def test_resource_is_not_renamed_if_a_value_has_its_name(
    checkout: Path, new: Command, field: str
) -> None:
    new("yak", "name:str:50", field)
    before = files_of(checkout)

    with pytest.raises(CommandError, match=f"also in the values of {field}"):
        list(commands.rename("yak", "koala", plural="", dry_run=False))
    assert files_of(checkout) == before


@pytest.mark.parametrize(
    "field", ["yak_state:enum:open,closed", "yak_no:int=1", "is_yak:bool=false"]
)
def test_resource_is_renamed_if_only_the_name_of_a_field_has_its_name(
    checkout: Path, new: Command, field: str
) -> None:
    new("yak", "name:str:50", field)

    list(commands.rename("yak", "koala", plural="", dry_run=False))

    assert field.partition(":")[0].replace("yak", "koala") in (
        checkout / "app/models/koala.py"
    ).read_text(encoding="utf-8")


def test_long_word_in_a_migration_that_stays_is_not_in_the_way(
    checkout: Path, new: Command
) -> None:
    new("quokka", "name:str:50")
    (migration,) = checkout.glob("alembic/versions/*_add_quokkas_table.py")
    with migration.open("a", encoding="utf-8") as file:
        file.write(f"# {'a' * 64}\n")

    list(commands.rename("quokka", "koala", plural="", dry_run=False))

    assert (checkout / "app/models/koala.py").exists()


def test_resource_is_not_renamed_if_a_name_in_its_migration_became_too_long(
    checkout: Path, new: Command
) -> None:
    new("quokka", "number_of_the_place_where_it_was_born:int^")
    before = files_of(checkout)

    with pytest.raises(CommandError, match=r"allows 63 characters .* would have 67: choose"):
        list(commands.rename("quokka", "hippopotamusrhinoceros", plural="", dry_run=False))
    assert files_of(checkout) == before


def test_renaming_keeps_edited_files_from_being_removed(
    checkout: Path, new: Command, remove: Command
) -> None:
    new("koala", *FIELDS)
    service = checkout / "app/services/koala_service.py"
    service.write_text(service.read_text(encoding="utf-8") + "\nMORE = 1\n", encoding="utf-8")

    list(commands.rename("koala", "quokka", plural="", dry_run=False))

    with pytest.raises(CommandError, match="quokka is not as it was written"):
        remove("quokka")


def test_value_of_an_enum_may_be_called_as_a_variable(checkout: Path, new: Command) -> None:
    new("setting_kind", "kind:enum:number,text")

    factory = (checkout / "tests/setting_kind_factory.py").read_text(encoding="utf-8")
    assert "unique_number" not in factory


@pytest.mark.parametrize("name", ["phase_2", "vitamin_b_12", "x_y_point"])
def test_name_that_its_class_does_not_tell_is_refused(new: Command, name: str) -> None:
    with pytest.raises(CommandError, match=f"'{name}' cannot be the name of a resource: its class"):
        new(name, "name:str:50")


def test_unknown_resource_is_told_with_the_known_ones(new: Command, remove: Command) -> None:
    new("quokka", *FIELDS)

    with pytest.raises(CommandError, match=r"records of: .*\bquokka\b"):
        remove("quoka")


def test_uncommitted_changes_are_not_deleted(checkout: Path, new: Command, remove: Command) -> None:
    """A record without digests, as the demo has one, says nothing about edits."""
    new("quokka", *FIELDS)
    forget_digests(checkout / "scaffold/resources/quokka.json")
    subprocess.run(["git", "init", "--quiet"], cwd=checkout, check=True)

    with pytest.raises(CommandError, match=r"Commit these first.*app/models/quokka\.py"):
        remove("quokka")
    (checkout / ".gitignore").write_text("*\n", encoding="utf-8")
    with pytest.raises(CommandError, match="Commit these first"):
        remove("quokka")


def test_files_in_no_repository_are_deleted_only_if_confirmed(checkout: Path, new: Command) -> None:
    new("quokka", *FIELDS)
    forget_digests(checkout / "scaffold/resources/quokka.json")
    before = files_of(checkout)

    refused = CliRunner().invoke(registered, ["remove", "quokka"], input="n\n")
    assert refused.exit_code == 1
    assert "They are in no git repository [y/N]" in refused.output
    assert files_of(checkout) == before
    removed = CliRunner().invoke(registered, ["remove", "quokka", "--yes"])
    assert "deleted  app/models/quokka.py\n" in removed.stdout


def forget_digests(file: Path) -> None:
    """Give a record the form of the demo's, whose files may have been edited."""
    record = json.loads(file.read_text(encoding="utf-8"))
    record["files"] = dict.fromkeys(record["files"])
    file.write_text(json.dumps(record), encoding="utf-8")


def test_deployed_service_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scaffold", None)
    monkeypatch.delitem(sys.modules, "scaffold.commands", raising=False)
    result = CliRunner().invoke(registered, ["new", "quokka", "title:str:20"])

    assert isinstance(result.exception, CommandError)
    assert "a checkout of the project" in str(result.exception)


def test_scaffold_is_not_deployed() -> None:
    assert "scaffold" not in (PROJECT / ".dockerignore").read_text(encoding="utf-8")
    text = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    assert '[tool.hatch.build.targets.wheel]\npackages = ["app"]' in text
