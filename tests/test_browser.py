"""People who open a baked service in a browser find their way, and can use the documentation."""

import json
from pathlib import Path

import pytest
from baking import run
from browsers import find_browser
from parameters import FIRST, in_each_run
from served_project import ADDRESS, PASSWORD, register, served_project
from test_variants import baked_once
from variants import VARIANTS, Variant

VISIT = Path(__file__).with_name("browser") / "visit.py"
# In the variants that differ in every answer: behind a prefix that is stripped and one that is kept,
# and without a prefix.
PREFIXES = {VARIANTS[0]: ("prefixed", "/svc", "/api/v1"), VARIANTS[3]: ("", "", "")}


@pytest.mark.browser
@pytest.mark.parametrize("variant", in_each_run(FIRST, slow=PREFIXES, of=[*PREFIXES]))
def test_documentation_works_in_a_browser(
    variant: Variant, template: Path, workspace: Path, tmp_path: Path, database_server: str
) -> None:
    project = baked_once(variant, template, workspace).path
    app, root_path, api_prefix = PREFIXES[variant]

    with served_project(
        project, database_server, tmp_path / "log", app, API_PREFIX=api_prefix
    ) as url:
        password = PASSWORD if variant.use_auth else None
        author = register(f"{url}{root_path}{api_prefix}", password=password)
        who = ["--sign-in", ADDRESS, password] if password else ["--author", str(author)]
        browser = ("--with", "playwright", "python", str(VISIT), find_browser())
        seen = json.loads(
            run(tmp_path, "--quiet", "--no-project", *browser, f"{url}{root_path}", *who)
        )

    assert seen.pop("operations") > 10
    assert seen.pop("signed in", None) == (True if variant.use_auth else None)
    assert seen == {
        "start": "Demo Service",
        "fits": [True, True],
        "created": [201, "Seen in Chromium"],
        "listed": [200, ["Seen in Chromium"]],
        "complaints": [],
        "other hosts": [],
    }
