"""`app routes`."""

import json
import sys
from pathlib import Path

import pytest
from fastapi import FastAPI

from app.cli import routes as command
from tests.cli.test_main import run
from tests.endpoints import routes, stated_endpoints


def test_routes_are_listed_with_the_statements_that_tests_count(app: FastAPI) -> None:
    rows = json.loads(run("routes", "--json").stdout)

    stated = {(one.name, one.status, one.statements) for one in stated_endpoints()}
    listed = {(f"{row['method']} {row['path']}", row["status"], row["statements"]) for row in rows}
    assert stated <= listed
    assert {name for name, _, _ in listed} >= routes(app).keys()
    assert [row["path"] for row in rows] == sorted(row["path"] for row in rows)
    assert all(row["who"] for row in rows)
    assert {row["who"] for row in rows if row["path"].startswith("/health/")} == {"anyone"}
    queries = [row["query"] for row in rows if (row["method"], row["path"]) == ("GET", "/users")]
    assert queries == [None, "q"]
    limits = {f"{row['method']} {row['path']}": row["max_body"] for row in rows}
    assert limits["PATCH /users/{user_id}"] == 64 * 2**10
    assert limits["GET /users"] is None


def test_table_fits_into_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_PREFIX", "/api/v1")

    heading, *lines = run("routes").stdout.splitlines()

    paths = heading.index("who") - heading.index("path")  # may be long in a project of one's own
    assert all(len(line) - paths <= 70 for line in (heading, *lines))
    (health,) = [line for line in lines if " /health/live " in line]
    assert health[heading.index("statements")] == "0"
    for path in ("/api/v1/users", "/api/v1/users?q"):
        assert any(line.startswith(f"GET     {path} ") for line in lines)


def test_statements_are_left_out_where_there_are_no_tests(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "tests.endpoints", None)  # as without their dependencies
    assert "No statements are shown: import of tests.endpoints halted" in run("routes").stderr

    monkeypatch.setattr(command, "PROJECT", tmp_path)
    result = run("routes")
    assert result.stderr == "No statements are shown: there are no tests here\n"
    assert "statements" not in result.stdout
    assert " /health/live" in result.stdout
