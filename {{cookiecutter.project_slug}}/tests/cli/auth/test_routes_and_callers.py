"""Who may call what, as `app routes` says."""

import json

import pytest

from app.cli import routes as command
from tests.cli.test_main import run


def test_routes_are_listed_with_who_may_call_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def callers() -> dict[str, str]:
        rows = json.loads(run("routes", "--json").stdout)
        return {f"{row['method']} {row['path']}": row["who"] for row in rows}

    stated = callers()
    assert stated["GET /users"] == "admin"
    assert stated["GET /users/me"] == "signed in"
    assert stated["GET /users/{user_id}"] == "owner or admin"
    assert stated["GET /health/live"] == "anyone"

    monkeypatch.setattr(command, "_stated_endpoints", dict)
    assert callers() == {
        name: "signed in" if who == "owner or admin" else who for name, who in stated.items()
    }
