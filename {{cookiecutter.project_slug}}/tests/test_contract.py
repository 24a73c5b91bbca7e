"""The running service keeps what its OpenAPI document promises, whatever it is sent."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import anyio
import pytest
from sqlalchemy import URL

from app.core.config import Settings

# {%- if cookiecutter.use_auth +%}
from app.core.database.sessions import Database
from app.core.security.tokens import create_access_token

# {%- endif +%}
# {%- if cookiecutter.use_auth +%}
from tests.factories import Factory

# {%- endif +%}
from tests.postgres import clone

PROJECT = Path(__file__).parents[1]
# A few requests, the same in each run; to begin with fuzzing takes longer than all of them.
# CONTRACT_PHASES=examples,coverage,fuzzing,stateful CONTRACT_EXAMPLES=300 and another
# CONTRACT_SEED find more, in some minutes.
EXAMPLES = os.environ.get("CONTRACT_EXAMPLES", "10")
PHASES = os.environ.get("CONTRACT_PHASES", "examples,stateful")
SEED = os.environ.get("CONTRACT_SEED", "1")


@pytest.fixture
def own_database(template_url: URL, worker_id: str) -> Generator[URL]:
    with clone(template_url, f"{template_url.database}_{worker_id}_contract") as url:
        yield url


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where the service writes what it has to say."""
    return tmp_path / "service.log"


@pytest.fixture
def service(own_database: URL, settings: Settings, log: Path) -> Generator[str]:
    """Serve the app in a process of its own, and yield its address."""
    with socket.socket() as listener, log.open("wb") as output:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        environment = os.environ | {
            "DATABASE_URL": own_database.render_as_string(hide_password=False),
            # {% if cookiecutter.use_auth %}
            "SECRET_KEY": settings.secret_key.get_secret_value(),
            "MAIL_DELIVERY": "console",
            # Those of production would be most of the service's work.
            "ARGON2_TIME_COST": str(settings.argon2_time_cost),
            "ARGON2_MEMORY_KIB": str(settings.argon2_memory_kib),
            "ARGON2_PARALLELISM": str(settings.argon2_parallelism),
            # One address sends all the requests.
            "PASSWORD_TRIES_PER_ADDRESS": "1000000",
            "MAILS_PER_ADDRESS": "1000000",
            # {% endif %}
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


# {% if cookiecutter.use_auth %}
@pytest.fixture
async def tokens(own_database: URL, settings: Settings) -> list[str]:
    """Tokens of the database's first two users, administrators."""
    database = Database(settings.model_copy(update={"database_url": own_database}))
    async with database.write_sessions() as session:
        admins = [await Factory(session).user(role="admin") for _ in range(2)]
    await database.dispose()
    return [create_access_token(admin.id, admin.token_generation, settings) for admin in admins]


# {% endif %}
@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot inherit a socket")
async def test_service_keeps_its_openapi_document(
    service: str,
    # {% if cookiecutter.use_auth %}
    tokens: list[str],
    settings: Settings,
    # {% endif %}
    log: Path,
    tmp_path: Path,
) -> None:
    environment = {"PYTHONPATH": str(PROJECT), "SCHEMATHESIS_HOOKS": "tests.contract_hooks"}
    options = ["--checks=all", f"--phases={PHASES}", "--no-color"]
    # {% if cookiecutter.use_auth %}
    options.append(f"--header=Authorization: Bearer {tokens[0]}")
    environment["CONTRACT_OTHER_TOKEN"] = tokens[1]
    # {% endif %}
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
            *options,
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
    logged = await anyio.Path(log).read_text()
    assert "GET /posts" in logged
    assert "Traceback" not in logged  # nor in what follows an answer
    # {% if cookiecutter.use_auth %}
    secrets = [*tokens, settings.secret_key.get_secret_value()]
    assert not any(secret in logged for secret in secrets)
    # {% endif %}
