"""The running service conforms to its OpenAPI document, whatever requests it gets."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import anyio
import httpx
import pytest
from sqlalchemy import URL

from app.core.config import Settings
from app.core.database import Database
from tests.contract_callers import Caller, prepare_caller, service_environment
from tests.postgres import clone

PROJECT = Path(__file__).parents[1]
# By default a few requests, the same in each run. To find more, within minutes, set
# CONTRACT_PHASES=examples,coverage,fuzzing,stateful, CONTRACT_EXAMPLES=300 and another CONTRACT_SEED.
EXAMPLES = os.environ.get("CONTRACT_EXAMPLES", "10")
PHASES = os.environ.get("CONTRACT_PHASES", "examples,stateful")
SEED = os.environ.get("CONTRACT_SEED", "1")


@pytest.fixture
def own_database(template_url: URL, worker_id: str) -> Generator[URL]:
    with clone(template_url, f"{template_url.database}_{worker_id}_contract") as url:
        yield url


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The file that the service logs to."""
    return tmp_path / "service.log"


@pytest.fixture
def service(own_database: URL, settings: Settings, log: Path) -> Generator[str]:
    """Serve the app in a process of its own, and yield its address."""
    with socket.socket() as listener, log.open("wb") as output:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        environment = os.environ | {
            "DATABASE_URL": own_database.render_as_string(hide_password=False),
            "DOCS": "true",
            **service_environment(settings),
        }
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "uvicorn",
                "app.asgi:app",
                "--fd",
                str(listener.fileno()),
            ],
            cwd=PROJECT,
            env=environment,
            pass_fds=[listener.fileno()],
            stdout=output,
            stderr=output,
        )
        host, port = listener.getsockname()
        yield f"http://{host}:{port}"
        process.terminate()
        process.wait(10)


@pytest.fixture
async def caller(own_database: URL, settings: Settings) -> Caller:
    database = Database(settings.model_copy(update={"database_url": own_database}))
    prepared = await prepare_caller(database, settings)
    await database.dispose()
    return prepared


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot inherit a socket")
async def test_service_keeps_its_openapi_document(
    service: str, caller: Caller, log: Path, tmp_path: Path
) -> None:
    headers, environment, secrets = caller
    environment |= {"PYTHONPATH": str(PROJECT), "SCHEMATHESIS_HOOKS": "tests.contract_hooks"}
    result = await anyio.run_process(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            f"--config-file={PROJECT / 'tests' / 'schemathesis.toml'}",
            "run",
            f"{service}/openapi.json",
            "--wait-for-schema=30",
            f"--max-examples={EXAMPLES}",
            f"--seed={SEED}",
            f"--report-dir={tmp_path}",
            "--generation-database=none",
            "--checks=all",
            f"--phases={PHASES}",
            "--no-color",
        ],
        cwd=tmp_path,
        env=os.environ | environment,
        check=False,
    )
    output = result.stdout.decode()

    assert result.returncode == 0, output
    summary = re.search(r"(\d+) generated", output)
    assert summary
    print(output[summary.start() :])  # noqa: T201 (shown by pytest -s)
    assert int(summary[1]) >= 50
    async with httpx.AsyncClient(headers=headers) as client:
        users = await client.get(f"{service}/users")
    assert users.status_code == 200, "the caller has lost its access on the way"
    logged = await anyio.Path(log).read_text()
    assert "GET /users" in logged
    assert "Traceback" not in logged  # nor from background tasks
    assert not any(secret in logged for secret in secrets)
