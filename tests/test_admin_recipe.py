"""The admin interface that a recipe adds, as an administrator sees it in Chromium."""

import json
from pathlib import Path

import pytest
from baking import bake_repository, run
from browsers import find_browser
from served_project import ADDRESS, PASSWORD, served_project
from test_recipes import add
from variants import VARIANTS

VISIT = Path(__file__).parent / "browser" / "admin.py"


@pytest.mark.slow
@pytest.mark.browser
def test_administrator_changes_a_user_in_a_browser(
    template: Path, tmp_path: Path, database_server: str
) -> None:
    project = bake_repository(template, tmp_path / "project", VARIANTS[0])
    add(project, "admin")
    with served_project(project, database_server, tmp_path / "log", admin=ADDRESS) as url:
        browser = ("--with", "playwright", "python", str(VISIT), find_browser())
        seen = json.loads(
            run(tmp_path, "--quiet", "--no-project", *browser, url, ADDRESS, PASSWORD)
        )

    # The page asks for a font of another host, which the policy refuses, as the browser says.
    refused = [one for one in seen.pop("complaints") if "rsms.me" not in one]
    assert refused == []
    assert seen == {
        "asked to sign in": True,
        "cookie": [True, "Strict", "/admin"],
        "read by scripts": False,
        "changed": 1,
        "other hosts": [],
    }
