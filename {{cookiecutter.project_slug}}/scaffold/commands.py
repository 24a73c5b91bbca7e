"""The work of `app new` and `app remove`. The functions yield the lines to print."""

from collections.abc import Iterator, Sequence

from app.core.env_file import PROJECT
from scaffold.definition import Resource, define
from scaffold.project import Project
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
    yield from ("", *_look_at(resource), "", *_next(resource))


def _look_at(resource: Resource) -> Iterator[str]:
    """Yield what the definition leaves open."""
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
        if one.is_indexed and one.is_optional:
            yield f"  lists are not sorted by {one.name}: pages need a value in each row"


def _next(resource: Resource) -> Iterator[str]:
    yield "Next:"
    yield f"  uv run pytest tests/routes/test_{resource.plural}.py tests/test_endpoints.py"
    yield f"  uv run app dev    # migrates, and serves {resource.path}"


def _model(resource: Resource) -> str:
    return f"app/models/{resource.singular}.py"
