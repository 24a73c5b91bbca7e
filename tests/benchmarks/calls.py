"""Function calls of one request: unlike times, they are the same on every machine."""

import json
import subprocess
from typing import Any

from baking import project_environment

from benchmarks.bench import DRIVERS, SETTINGS, Bench
from benchmarks.servers import APPS

Figures = dict[str, Any]
METRICS = {"METRICS": "on"}
NEW_POST = json.dumps({"author_id": 1, "title": "Hello", "body": "World"})


def calls(bench: Bench, _rounds: int, _seconds: float) -> Figures:
    """Count the function calls of one request by cProfile, Python's and C's, in one process."""
    variants = {"no auth": (False, {}), "no auth, metrics": (False, METRICS), "auth": (True, {})}
    return {
        f"{driver}, {name}": count(bench, driver, variables, use_auth=use_auth)
        for driver in DRIVERS
        for name, (use_auth, variables) in variants.items()
    }


def count(bench: Bench, driver: str, variables: dict[str, str], *, use_auth: bool) -> Figures:
    project = bench.projects[driver, use_auth]
    environment = SETTINGS | variables | {"DATABASE_URL": bench.url, "PYTHONPATH": str(APPS)}
    completed = subprocess.run(
        [project / ".venv/bin/python", "-m", "counted_calls"],
        input=json.dumps(requests(bench.token if use_auth else None)),
        cwd=project,
        env=project_environment(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    bench.postgres.query("DELETE FROM posts WHERE id > 10000", database="bench")
    assert completed.returncode == 0, completed.stderr
    figures: Figures = json.loads(completed.stdout.splitlines()[-1])  # after lines of the log
    return figures


def requests(token: str | None) -> dict[str, dict[str, Any]]:
    """Return the ladder's requests, but W4 creates a post, which both variants can."""
    caller = {"authorization": f"Bearer {token}"} if token else {}
    found = {"W1": request("GET", "/posts/4711")}
    if token:
        found["W2"] = request("GET", "/users/me", headers=caller)
    found["W3"] = request("GET", "/posts", query="limit=20")
    headers = caller | {"content-type": "application/json"}
    found["W4"] = request("POST", "/posts", headers=headers, body=NEW_POST)
    return found


def request(
    method: str, path: str, query: str = "", headers: dict[str, str] | None = None, body: str = ""
) -> dict[str, Any]:
    return {"method": method, "path": path, "query": query, "headers": headers or {}, "body": body}
