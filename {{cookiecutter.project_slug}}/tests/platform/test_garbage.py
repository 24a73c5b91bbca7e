"""How the garbage collector is tuned is a setting."""

import os
import subprocess
import sys

import pytest

from app.core.env_file import PROJECT
from tests.platform.conftest import VARIABLES

PRINT = "import gc, app.asgi; print(gc.get_freeze_count() > 10_000, gc.get_threshold() == (10_000, 20, 50))"


@pytest.mark.parametrize(("setting", "tuned"), [("true", "True True"), ("false", "False False")])
def test_setting_tunes_the_garbage_collector(setting: str, tuned: str) -> None:
    completed = subprocess.run(
        [sys.executable, "-c", PRINT],
        cwd=PROJECT,
        env=os.environ | VARIABLES | {"COLLECT_GARBAGE_RARELY": setting},
        capture_output=True,
        text=True,
        check=True,
    )

    assert completed.stdout.strip() == tuned
