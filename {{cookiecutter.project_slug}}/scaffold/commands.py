"""The work of `app new`, `app remove` and `app rename`. The functions yield the lines to print."""

from collections.abc import Callable, Iterator, Sequence

from app.cli.commands import CommandError
from app.cli.dev_server import is_dev_running
from app.core.env_file import PROJECT
from scaffold.definition import define
from scaffold.fields import Field
from scaffold.project import Project
from scaffold.recipes import recipes_in_demo
from scaffold.records import DEMO
from scaffold.removing import Removal, removal_of, uncommitted
from scaffold.renaming import renaming_of
from scaffold.resource import Resource
from scaffold.tables import drop_tables, rename_tables, surviving
from scaffold.words import snake_case
from scaffold.writing import changes_for


def new(name: str, fields: Sequence[str], *, plural: str, dry_run: bool) -> Iterator[str]:
    """Write a resource, or with `dry_run` show what would be written."""
    project = Project(PROJECT)
    resource = define(project, name, fields, plural or None)
    changes = changes_for(project, resource)
    if dry_run:
        yield changes.diff().rstrip()
        return
    created = sorted(file for file in changes.files if not (PROJECT / file).exists())
    changed = sorted(changes.files.keys() - set(created))
    changes.apply()
    yield from (f"created  {file}" for file in created)
    yield from (f"changed  {file}" for file in changed)
    tests = [file for file in created if file.startswith("tests/routes/")]
    yield from ("", *_look_at(resource), "", *_next(resource, tests))


def remove(
    name: str, *, drop_table: bool, dry_run: bool, confirm: Callable[[str], None]
) -> Iterator[str]:
    """Remove a resource, or with `dry_run` show what would be removed.

    `confirm` raises an exception unless somebody agrees to a question.
    """
    project = Project(PROJECT)
    singular = snake_case(name)
    removal = removal_of(project, singular)
    if singular == DEMO and (added := recipes_in_demo(project)):
        yield "Take these out first, which have changed the demo:"
        yield from (f"  uv run app recipe remove {recipe}" for recipe in added)
        raise CommandError(f"Nothing was removed: {' and '.join(added)} would be left without it")
    if removal.problems:
        yield from _to_do(removal, singular)
    if dry_run:
        yield removal.changes.diff().rstrip()
    if removal.problems:
        reason = "is used by others" if removal.users else "is not as it was written"
        raise CommandError(f"Nothing was removed: {singular} {reason}")
    if dry_run:
        return
    changed = uncommitted(project, removal.unchecked)
    if changed:
        raise CommandError(f"Commit these first, which would be lost: {', '.join(changed)}")
    if removal.unchecked and changed is None:
        confirm(f"Delete {len(removal.unchecked)} files? They are in no git repository")
    dropped = drop_tables(
        removal.record.tables, removal.revisions, removal.changes.applied(), anywhere=drop_table
    )
    for file, text in sorted(removal.changes.files.items()):
        yield f"{'deleted' if text is None else 'changed'}  {file}"
    yield from (f"dropped  the table {table}" for table in dropped)
    yield ""
    yield "Next:"
    yield "  uv run pytest --ignore tests/platform"
    yield from _elsewhere(removal, "Another database" if dropped else "A database")


def rename(old: str, new: str, *, plural: str, dry_run: bool) -> Iterator[str]:
    """Give a resource another name, or with `dry_run` show what would change."""
    project = Project(PROJECT)
    singular = snake_case(old)
    record, changes, renaming = renaming_of(project, singular, new, plural or None)
    if dry_run:
        yield changes.diff().rstrip()
        return
    changed = uncommitted(project, [name for name, text in changes.files.items() if text is None])
    if changed and not any(record.files.values()):
        raise CommandError(f"Commit these first: {', '.join(changed)}")
    tables = rename_tables(record.tables, renaming, changes.applied())
    for file, text in sorted(changes.files.items()):
        yield f"{'deleted' if text is None else 'written'}  {file}"
    yield from (f"renamed  the table {table}" for table in tables)
    yield ""
    yield "Next:"
    yield "  git add -A && git diff --cached -M    # texts may need editing"
    yield "  uv run pytest --ignore tests/platform"
    yield "A database that has run the migrations has the old names: rename them there."


def _elsewhere(removal: Removal, which: str) -> Iterator[str]:
    """Yield what is to be done with other databases."""
    if not removal.revisions:
        yield f"{which} that has run its migration keeps the table: drop it there."
        return
    run, *_ = removal.revisions
    yield (
        f"{which} that has run {', '.join(removal.revisions)} keeps the table: drop it there. If none of "
        f"your migrations follows, run `uv run alembic stamp --purge {surviving(run, removal.revisions)}`, too."
    )


def _to_do(removal: Removal, singular: str) -> Iterator[str]:
    """Yield what keeps a resource from being removed, and what is to be done by hand."""
    yield "In the way:"
    yield from (f"  {problem}" for problem in removal.problems)
    if removal.users:
        yield "Remove these first, or their references to it:"
        yield from (f"  uv run app remove {user}" for user in removal.users)
        return
    yield f"Undo that, or remove by hand, as `uv run app remove {singular} --dry-run` shows:"
    files = sorted(removal.changes.files.items())
    yield from (f"  delete {name}" for name, text in files if text is None)
    yield from (f"  change {name}" for name, text in files if text is not None)
    if removal.revisions:
        yield (
            "If a database has run the migration, keep it, and write one that drops the table: "
            'uv run app revision -m "drop a table"'
        )


def _look_at(resource: Resource) -> Iterator[str]:
    """Yield the decisions that the definition leaves open."""
    yield "Look at:"
    if resource.owner:
        place = f"app/services/{resource.singular}_service.py (require_owner_or_admin)"
    else:
        place = f"app/routes/{resource.plural}.py (require_admin)"
    yield f"  who may change {resource.a}: {place}"
    yield f"  who may read {resource.humans}, now anyone: app/routes/{resource.plural}.py"
    for one in resource.references:
        yield f"  if the {one.human} is deleted: ON DELETE {one.ondelete} in {_model(resource)}"
    for one in resource.values:
        if one.is_indexed and not one.sorts:
            yield f"  lists are filtered by {one.name}, and not sorted by it: {_no_order(one)}"


def _no_order(one: Field) -> str:
    if one.kind.cursor:
        return "pages need a value in each row"
    return f"the type {one.kind_name} has no order that callers know"


def _next(resource: Resource, tests: Sequence[str]) -> Iterator[str]:
    yield "Next:"
    yield f"  uv run pytest {' '.join(tests)} tests/test_endpoints.py"
    if is_dev_running():
        yield f"  uv run app migrate    # then the running `app dev` serves {resource.path}"
    else:
        yield f"  uv run app dev    # migrates, and serves {resource.path}"


def _model(resource: Resource) -> str:
    return f"app/models/{resource.singular}.py"
