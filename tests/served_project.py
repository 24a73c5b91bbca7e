"""A baked project that is served, for programs that call it."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
from baking import project_environment, run, uv_executable
from faults.postgres_process import free_port, wait_until
from faults.service_process import Service, serving
from postgres import scratch_database
from test_variants import SETTINGS

STARTED_IN = 120.0  # seconds, in which uv may have to install the project

ADDRESS, PASSWORD = "ann@example.com", "enters-where-she-may"


@contextmanager
def served_project(
    project: Path,
    database_server: str,
    log: Path,
    app: str = "",
    *,
    admin: str = "",
    **settings: str,
) -> Iterator[str]:
    """Serve a project in development, and yield its address.

    `app` is a module of `faults/served`, instead of the app itself. `admin` is the address of an
    administrator to create, with `PASSWORD`.
    """
    with scratch_database(database_server) as url:
        environment = SETTINGS | {
            "DATABASE_URL": url,
            "DEVELOPMENT": "true",
            "MAIL_DELIVERY": "none",
            **settings,
        }
        run(project, "app", "migrate", env=environment)
        if admin:
            secret = environment | {"ADMIN_PASSWORD": PASSWORD}
            run(project, "app", "create-admin", "--email", admin, env=secret)
        service = Service(project, environment)
        if app:
            service = service.serving(f"{app}:app")
        with serving(service, log) as process:
            yield process.url
            assert process.complaints() == []


@contextmanager
def developed(project: Path, log: Path, env: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run `app dev` in a project on the embedded server, and yield its address."""
    port = free_port()
    command = [uv_executable(), "run", "app", "dev", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=project,
            env=project_environment(env),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"

    def responds() -> bool:
        assert process.poll() is None, log.read_text(encoding="utf-8")
        try:
            return httpx.get(f"{url}/health/ready").is_success
        except httpx.TransportError:
            return False

    try:
        wait_until(responds, f"`app dev` serves, log in {log}", STARTED_IN)
        yield url
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(60)


def register(url: str, *, password: str | None = None) -> int:
    """Create the user at `ADDRESS`, in projects with auth with a password, and return the id."""
    body = {"email": ADDRESS, "display_name": "Ann"} | ({"password": password} if password else {})
    response = httpx.post(f"{url}/users", json=body)
    assert response.status_code == 201, response.text
    user_id: int = response.json()["id"]
    return user_id
