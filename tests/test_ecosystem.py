"""Tools of the ecosystem, which inspect or wrap an app, work on a baked project."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from baking import bake, made_once, project_environment, run, uv_executable
from postgres import scratch_database
from test_variants import SETTINGS

TOOLS = Path(__file__).with_name("ecosystem") / "tools.py"


@pytest.fixture(scope="module")
def project(template: Path, workspace: Path) -> Path:
    def make(folder: Path) -> str:
        return str(bake(template, folder, db_driver="asyncpg", use_auth=True))

    return Path(made_once(workspace / "ecosystem", make))


@pytest.fixture(scope="module")
def environment(project: Path, database_server: str) -> Iterator[dict[str, str]]:
    """Return the settings of a service with a migrated database."""
    with scratch_database(database_server) as url:
        settings = SETTINGS | {
            "DATABASE_URL": url,
            "MAIL_DELIVERY": "console",
            "DEVELOPMENT": "true",
            "METRICS": "off",  # for the tool that has its own
        }
        run(project, "app", "migrate", env=settings)
        yield settings


@pytest.mark.parametrize(
    ("tool", "packages", "seen"),
    [
        (
            "opentelemetry",
            ["opentelemetry-instrumentation-fastapi", "opentelemetry-sdk"],
            ["GET /posts/{post_id:id}", "HEAD /posts/{post_id:id}", "GET"],
        ),
        (
            "prometheus",
            ["prometheus-fastapi-instrumentator"],
            [
                'http_requests_total{handler="/posts/{post_id:id}",method="GET",status="4xx"} 1.0',
                'http_requests_total{handler="/posts/{post_id:id}",method="HEAD",status="4xx"} 1.0',
                'http_requests_total{handler="none",method="GET",status="4xx"} 1.0',
            ],
        ),
        (
            "sentry",
            ["sentry-sdk"],
            [["event", "/bugs/{number}"], ["transaction", "/bugs/{number}"]],
        ),
        # The pages of a mounted app load their own styles and scripts.
        ("sqladmin", ["sqladmin"], [200, 200, 200, False]),
        (
            "static_files",
            [],
            [
                *([200, 200, 200, 405, 404], "GET, HEAD", "NOT_FOUND", "<h1>Hello</h1>"),
                *("object-src 'none'", "object-src 'none'", "default-src 'none'"),
            ],
        ),
        ("dependency_overrides", [], "overridden"),
    ],
)
def test_tool_sees_the_app(
    project: Path, environment: dict[str, str], tool: str, packages: list[str], seen: object
) -> None:
    installed = [option for package in packages for option in ("--with", package)]

    output = run(project, "--quiet", *installed, "python", str(TOOLS), tool, env=environment)

    assert json.loads(output.splitlines()[-1]) == seen


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="gunicorn needs fork")
def test_gunicorn_serves_the_app_and_stops_when_told(
    project: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    command = ["run", "--quiet", "--with", "gunicorn", "--with", "uvicorn-worker", "gunicorn"]
    options = ["app.asgi:app", "-k", "uvicorn_worker.UvicornWorker", "-w", "2"]
    bound = ["--bind", "127.0.0.1:0", "--log-file", str(log)]
    process = subprocess.Popen(
        [uv_executable(), *command, *options, *bound],
        cwd=project,
        env=project_environment(environment),
    )
    try:
        deadline = time.monotonic() + 60
        lines = ""
        while lines.count("Application startup complete") < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
            lines = log.read_text() if log.exists() else ""
        address = lines.partition("Listening at: ")[2].split()[0]
        assert httpx.get(f"{address}/posts").status_code == 200
    finally:
        process.terminate()
        assert process.wait(30) == 0
    assert "Traceback" not in log.read_text(), log.read_text()


PLUGINS = ("pytest-asyncio", "pytest-cov", "pytest-mock", "pytest-randomly", "pytest-sugar")


@pytest.mark.slow
@pytest.mark.parametrize("options", [("-p", "no:xdist"), ("-n", "2")], ids=" ".join)
def test_suite_runs_with_common_plugins(
    project: Path, database_server: str, options: tuple[str, ...]
) -> None:
    installed = [option for package in PLUGINS for option in ("--with", package)]

    output = run(
        project, "--quiet", *installed, "pytest", "tests/routes/test_posts.py", *options,
        env={"TEST_DATABASE_URL": database_server},
    )  # fmt: skip

    assert " passed" in output
