"""A database of an earlier release, at whichever of its revisions, gets the schema of a new one."""

import json
import re
import shutil
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from baking import ROOT, bake, extract_template, run
from postgres import libpq_url, scratch_database
from releases import releases, version_of
from repositories import git
from test_variants import SETTINGS, baked_once
from variants import VARIANTS, Variant

# Run in a project of today: each database goes to a revision by the files of the release, if there is
# one, and on by those of the project.
MIGRATE = """
import json, sys
from alembic import command
from alembic.config import Config
from app.core.config import parse_database_url
from app.core.database.migrations import alembic_config

release, databases = json.loads(sys.argv[1])
for revision, url in databases.items():
    now, then = alembic_config(parse_database_url(url)), Config(toml_file=release)
    then.attributes |= now.attributes
    if revision:
        command.upgrade(then, revision)
    command.upgrade(now, "head")
command.check(now)
"""
TO_NOTHING = """
import sys
from alembic import command
from app.core.config import parse_database_url
from app.core.database.migrations import alembic_config

command.downgrade(alembic_config(parse_database_url(sys.argv[1])), "base")
"""
# The columns of tables may be in another order: those that a revision adds are the last.
OBJECTS = """
SELECT format('%s.%s %s %s %s %s', attrelid::regclass, attname, format_type(atttypid, atttypmod),
              attnotnull, attidentity, pg_get_expr(adbin, adrelid))
FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r')
  AND attnum > 0 AND NOT attisdropped
UNION ALL
SELECT format('%s %s %s %s', conrelid::regclass, conname, convalidated, pg_get_constraintdef(oid))
FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL
SELECT format('%s %s', pg_get_indexdef(indexrelid), indisvalid)
FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
WHERE relnamespace = 'public'::regnamespace
ORDER BY 1
"""


def objects(url: str) -> list[str]:
    """Return the columns, constraints and indexes of a database."""
    with psycopg.connect(libpq_url(url)) as connection:
        return [line for (line,) in connection.execute(OBJECTS)]


def revisions_in(folder: Path) -> list[str]:
    texts = [path.read_text(encoding="utf-8") for path in folder.glob("*.py")]
    return [re.findall(r'^revision.* = "(\w+)"', text, re.MULTILINE)[0] for text in texts]


def baked_release(release: str, folder: Path, variant: Variant) -> Path:
    template = extract_template(release, folder / "template")
    return bake(template, folder, db_driver=variant.db_driver, use_auth=variant.use_auth)


def earlier_releases() -> list[Any]:
    """Return the commits of all releases but the work tree itself, the last one for every run."""
    commits = [one for one in releases(ROOT) if git(ROOT, "diff", "--name-only", one)]
    return [
        pytest.param(one, id=version_of(ROOT, one), marks=[pytest.mark.full] if number else [])
        for number, one in enumerate(commits)
    ]


@pytest.mark.parametrize("release", earlier_releases())
@pytest.mark.parametrize(
    ("had_auth", "use_auth"),
    [
        pytest.param(False, False, id="without auth", marks=pytest.mark.slow),
        pytest.param(True, True, id="with auth"),
        pytest.param(False, True, id="auth is new"),
    ],
)
def test_database_of_a_release_gets_the_schema_of_a_new_one(
    release: str,
    had_auth: bool,
    use_auth: bool,
    template: Path,
    workspace: Path,
    tmp_path: Path,
    database_server: str,
) -> None:
    variant = next(one for one in VARIANTS if one.use_auth == use_auth)
    project = baked_once(variant, template, workspace).path
    earlier = baked_release(release, tmp_path, replace(variant, use_auth=had_auth))
    # How revisions are run has changed since, unlike the revisions.
    shutil.copy(project / "alembic" / "env.py", earlier / "alembic")
    with ExitStack() as stack:
        databases = {
            revision: stack.enter_context(scratch_database(database_server))
            for revision in ["", *revisions_in(earlier / "alembic" / "versions")]
        }
        arguments = json.dumps([str(earlier / "pyproject.toml"), databases])
        run(project, "python", "-c", MIGRATE, arguments, env=SETTINGS)
        new = objects(databases.pop(""))
        assert len(databases) > 2
        for revision, url in databases.items():
            assert objects(url) == new, revision
        run(project, "python", "-c", TO_NOTHING, url, env=SETTINGS)
        assert [line for line in objects(url) if "alembic_version" not in line] == []
