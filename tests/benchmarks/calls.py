"""How many functions a request calls: a figure that no other process on the machine changes."""

import json
import subprocess
from pathlib import Path
from typing import Any

from baking import project_environment

from benchmarks.bench import CREATE, DRIVERS, READ_ONE, READ_PAGE, Bench
from benchmarks.ladder import CORE, ME, NEW, ONE, PAGE, TEMPLATE
from benchmarks.servers import APPS

PLAIN = {ONE: READ_ONE, PAGE: READ_PAGE, NEW: CREATE}


def calls(bench: Bench, _rounds: int, _seconds: float) -> dict[str, Any]:
    """Functions that are called for one request, Python's and C's, by one process without a network.

    asyncio and the driver are part of it, the web server is not.
    """
    figures: dict[str, Any] = {}
    for driver in DRIVERS:
        with_auth = bench.projects[driver, True]
        plain = bench.projects[driver, False]
        me = {ME: bench.me}
        template = count(bench, plain, "app.asgi:app", driver, PLAIN)
        template |= count(bench, with_auth, "app.asgi:app", driver, me)
        core = count(bench, with_auth, "fastapi_core:app", driver, PLAIN | me)
        figures[driver] = {
            name: {TEMPLATE: template[name], CORE: core[name]} for name in (ONE, ME, PAGE, NEW)
        }
    bench.tidy()
    return figures


def count(
    bench: Bench, project: Path, app: str, driver: str, requests: dict[str, str]
) -> dict[str, int]:
    """Return the calls of each request to an app that runs with a project's environment."""
    environment = bench.environment | {"LADDER_DRIVER": driver, "PYTHONPATH": str(APPS)}
    completed = subprocess.run(
        [project / ".venv/bin/python", "-m", "count_calls"],
        input=json.dumps({"app": app, "requests": requests}),
        cwd=project,
        env=project_environment(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    found: dict[str, int] = json.loads(completed.stdout)
    return found
