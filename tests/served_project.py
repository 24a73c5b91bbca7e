"""A baked project that is served, for programs that call it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from baking import run
from faults.service_process import Service, serving
from postgres import scratch_database
from test_variants import SETTINGS

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


def register(url: str, *, password: str | None = None) -> int:
    """Create the user at `ADDRESS`, in projects with auth with a password, and return the id."""
    body = {"email": ADDRESS, "display_name": "Ann"} | ({"password": password} if password else {})
    response = httpx.post(f"{url}/users", json=body)
    assert response.status_code == 201, response.text
    user_id: int = response.json()["id"]
    return user_id
