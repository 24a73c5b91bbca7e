"""What the measurements share: baked projects, a database with rows in it, and the requests."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
from baking import bake, copy_template, run_uv
from faults.postgres_process import PostgresProcess, running
from faults.service_process import Service

from benchmarks.servers import LOAD_CORES, Server, serving

DRIVERS = ("asyncpg", "psycopg")
SECRET_KEY = "signs-nothing-of-worth-0123456789-abcdefghijklm"  # noqa: S105 (signs nothing of worth)
# One token serves every project, and one address sends every request. Each workload uses one of the
# template's two pools, which is therefore as large as Core's only one.
SETTINGS = {
    "SECRET_KEY": SECRET_KEY,
    "DEVELOPMENT": "true",  # accepts that key
    "METRICS": "off",  # which development turns on
    "TOKEN_ISSUER": "benchmark",
    "TOKEN_AUDIENCE": "benchmark",
    "LOG_LEVEL": "WARNING",  # no line for each request, as --no-access-log for the others
    "DATABASE_POOL_SIZE": "15",
    "DATABASE_READ_POOL_SIZE": "15",
    "PASSWORD_TRIES_PER_ACCOUNT": "1000000",
    "PASSWORD_TRIES_PER_ADDRESS": "1000000",
    "PASSWORD_QUEUE_PER_CORE": "64",
}
DATABASE_PASSWORD = "only-for-benchmarks"  # noqa: S105 (opens nothing of worth)
EMAIL = "user1@example.com"
PASSWORD = "correct horse battery"  # noqa: S105 (opens nothing of worth)
ROWS = """
    INSERT INTO users (email, display_name)
    SELECT 'user' || n || '@example.com', 'User ' || n FROM generate_series(1, 1000) AS n;
    INSERT INTO posts (author_id, title, body, created_at)
    SELECT 1 + n % 1000, 'Title ' || n, repeat('word ', 60), now() - n * interval '1 minute'
    FROM generate_series(1, 10000) AS n;
    INSERT INTO user_sessions (user_id, key, secret_digest, address, user_agent, last_used_at, expires_at)
    VALUES (1, 'key', 'digest', '', '', now(), now() + interval '1 day');
    VACUUM ANALYZE;
"""


def get(path: str, headers: str = "") -> str:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n"


def post(path: str, body: str, media_type: str = "application/json") -> str:
    length = len(body.replace("{n}", "0" * 19))
    headers = f"Content-Type: {media_type}\r\nContent-Length: {length}\r\n"
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n{body}"


READ_ONE = get("/posts/4711")
READ_PAGE = get("/posts?limit=20")
CREATE = post("/users", '{"email":"{n}@example.com","display_name":"Ann"}')
# Two hundred users are checked, the last of whom is empty, and no database is asked.
IMPORT_REFUSED = post(
    "/users/import",
    json.dumps(
        {"users": [{"email": f"{n}@example.com", "display_name": "Ann"} for n in range(199)] + [{}]}
    ),
)


@dataclass(frozen=True)
class Bench:
    """Where everything stands. All servers use one database, which the auth variant has made."""

    projects: dict[tuple[str, bool], Path]
    postgres: PostgresProcess
    url: str
    token: str

    @property
    def me(self) -> str:
        return get("/users/me", f"Authorization: Bearer {self.token}\r\n")

    @property
    def sign_in(self) -> str:
        form = f"grant_type=password&username={EMAIL}&password={PASSWORD.replace(' ', '+')}"
        return post("/auth/token", form, "application/x-www-form-urlencoded")

    def baked(
        self,
        driver: str,
        *,
        use_auth: bool = False,
        app: str = "app.asgi:app",
        variables: dict[str, str] | None = None,
        **options: Any,
    ) -> AbstractContextManager[Server]:
        environment = SETTINGS | {"DATABASE_URL": self.url} | (variables or {})
        return serving(self.projects[driver, use_auth], app, environment, **options)

    def ladder(self, app: str, driver: str = "asyncpg") -> AbstractContextManager[Server]:
        environment = SETTINGS | {"DATABASE_URL": self.url, "LADDER_DRIVER": driver}
        return serving(self.projects[driver, True], f"{app}:app", environment)

    def tidy(self) -> None:
        """Remove what the load has created, so that every round meets the same tables."""
        self.postgres.query("DELETE FROM users WHERE id > 1001", database="bench")
        self.postgres.query("VACUUM users", database="bench")


@contextmanager
def bench() -> Iterator[Bench]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="benchmark-")))
        template = copy_template(folder / "template")
        os.environ["BAKE_WITHOUT_LINK"] = "1"  # they get no updates
        projects = {
            (driver, use_auth): bake(
                template,
                folder,
                project_slug=f"bench-{driver}-{use_auth}".lower(),
                db_driver=driver,
                use_auth=use_auth,
            )
            for driver in DRIVERS
            for use_auth in (True, False)
        }
        for project in projects.values():
            run_uv(project, "sync", "--no-dev", "--compile-bytecode", "--quiet")
        postgres = stack.enter_context(running())
        stack.enter_context(postgres.started_with(max_connections="300", timezone="UTC"))
        leave_first_core(postgres.pid)
        url = stack.enter_context(postgres.database("bench"))
        url = url.replace("//app@", f"//app:{DATABASE_PASSWORD}@")
        demand_password(postgres)
        service = Service(projects["asyncpg", True], SETTINGS | {"DATABASE_URL": url})
        service.run("app", "migrate")
        for statement in ROWS.split(";")[:-1]:
            postgres.query(statement, database="bench")
        (hashed,) = python(
            service,
            f"from pwdlib import PasswordHash as P; print(P.recommended().hash({PASSWORD!r}))",
        ).split()
        postgres.query(
            "UPDATE users SET hashed_password = %s WHERE id = 1", hashed, database="bench"
        )
        token = python(
            service,
            "import app.core.security.tokens as t, app.core.config as c; "
            "contents = t.AccessToken(1, 1, 1, 0, ['pwd']); "
            "print(t.create_access_token(contents, c.Settings(access_token_minutes=60)))",
        ).strip()
        yield Bench(projects, postgres, url, token)


def leave_first_core(pid: int) -> None:
    """Keep a process, and those that it starts, off the core of the server under test."""
    process = psutil.Process(pid)
    for each in (process, *process.children(recursive=True)):
        if LOAD_CORES:
            each.cpu_affinity(LOAD_CORES)


def demand_password(postgres: PostgresProcess) -> None:
    """Let the apps in by their password alone (SCRAM), as servers do: it is most of a connect."""
    postgres.query(f"ALTER ROLE app PASSWORD '{DATABASE_PASSWORD}'")
    (path,) = postgres.query("SHOW hba_file")
    rules = Path(path)
    rules.write_text(f"host all app 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
    postgres.query("SELECT pg_reload_conf()")


def python(service: Service, code: str) -> str:
    """Run code in a project and return what it prints."""
    completed = subprocess.run(
        [service.project / ".venv/bin/python", "-c", code],
        cwd=service.project,
        env=service.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return completed.stdout
