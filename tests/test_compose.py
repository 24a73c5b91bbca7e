"""compose.yaml of a baked project, started for real: each profile whose programs are at hand."""

import http.client
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import yaml
from baking import ROOT, TEMPLATE_FOLDER, bake
from containers import (
    BASE_IMAGE,
    build,
    debian_image,
    docker,
    get_status,
    image_of,
    remove_image,
    succeeds,
    unique_name,
    wait_until,
)
from parameters import FIRST, FIRST_AND_LAST, LAST, in_each_run
from processes import output_of
from terminal import lines_by_block, lines_of
from variants import VARIANTS, Variant

# The first one has users who sign in, the last one has not, and they have different drivers.
AUTH, NO_AUTH, *_, OTHER_DRIVER = VARIANTS
PROFILES = ("proxy", "pgbouncer", "replica", "observability")
PASSWORD = """p@ss:w/ord$ '"#%&?=\\ $HOME"""  # noqa: S105 (of servers that live for one test)

REVISION = '''"""Add notes table.

Revision: {revision}
Follows: {head}
"""

import sqlalchemy as sa
from alembic import op

revision: str = "{revision}"
down_revision: str | None = "{head}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table("notes", sa.Column("id", sa.BigInteger, primary_key=True))


def downgrade() -> None:
    op.drop_table("notes")
'''


def variants(*wanted: Variant) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("variant", wanted, ids=lambda variant: variant.name)


@pytest.fixture
def project(variant: Variant, template: Path, tmp_path: Path) -> Path:
    return bake(template, tmp_path, db_driver=variant.db_driver, use_auth=variant.use_auth)


class Compose:
    """`docker compose` in a project, with the image of its variant and without settings of ours."""

    def __init__(self, project: Path, image: str) -> None:
        self.project = project
        self.env = {
            "APP_IMAGE": image,
            "COMPOSE_PROJECT_NAME": unique_name(),
            "PORT": "0",
            "POSTGRES_PASSWORD": PASSWORD,
            "API_POSTGRES_PASSWORD": f"another {PASSWORD}",
            "SECRET_KEY": secrets.token_urlsafe(48),
        }

    def __call__(self, *arguments: str) -> str:
        return docker("compose", "--project-directory", str(self.project), *arguments, env=self.env)

    def up(self, *services: str) -> None:
        self("up", "--no-build", "--detach", "--wait", *services)

    def query(self, sql: str, service: str = "db") -> str:
        database = ("--host=127.0.0.1", "--username=app", f"--dbname={self.project.name}")
        psql = ("exec", "-T", f"--env=PGPASSWORD={self.env['POSTGRES_PASSWORD']}", service, "psql")
        return self(*psql, *database, "-Atc", sql)

    def address(self, service: str = "api", port: int = 8000) -> str:
        return self("port", service, str(port))


@pytest.fixture
def compose(
    docker_engine: None,  # noqa: ARG001 - asked for first
    variant: Variant,
    project: Path,
    template: Path,
    workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Compose]:
    if not succeeds("compose", "version"):
        if os.environ.get("TEST_POSTGRES") == "container":
            pytest.fail("There is no `docker compose`, and TEST_POSTGRES=container demands one.")
        pytest.skip("this machine has no `docker compose`")
    for name in ("POSTGRES_PASSWORD", "API_POSTGRES_PASSWORD", "SECRET_KEY", "COMPOSE_PROFILES"):
        monkeypatch.delenv(name, raising=False)
    command = Compose(project, image_of(variant, template, workspace))
    yield command
    command("--profile", "*", "down", "--volumes", "--timeout", "5")
    if pooler := command.env.get("PGBOUNCER_IMAGE"):
        remove_image(pooler)


def send(address: str, method: str, path: str, body: Mapping[str, object] | None = None) -> int:
    """Return the status of a request, on a connection of its own."""
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        headers = {"Content-Type": "application/json"} if body else {}
        connection.request(method, path, json.dumps(body) if body else None, headers)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def new_user() -> dict[str, object]:
    return {"email": f"{secrets.token_hex(8)}@example.com", "display_name": "Ann"}


def documents(project: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((project / "compose.yaml").read_text(encoding="utf-8"))
    return found


@variants(*VARIANTS)
def test_compose_starts_database_then_migration_then_api(variant: Variant, project: Path) -> None:
    compose = documents(project)
    default = {name for name, one in compose["services"].items() if "profiles" not in one}
    assert default == {"db", "migrate", "api", "worker"}
    db, migrate, api = (compose["services"][name] for name in ("db", "migrate", "api"))

    assert "healthcheck" in db
    assert migrate["depends_on"] == {"db": {"condition": "service_healthy"}}
    assert migrate["command"][2] == "app check && app migrate && app grant && app set-limits"
    assert api["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert migrate["image"] == api["image"] == f"${{APP_IMAGE:-{project.name}}}"

    assert db["volumes"] == ["db-data:/srv/postgresql"]
    assert db["environment"]["PGDATA"].startswith("/srv/postgresql/")
    assert [port.split(":")[0] for port in api["ports"]] == ["127.0.0.1"]

    user, database = db["environment"]["POSTGRES_USER"], db["environment"]["POSTGRES_DB"]
    owner = migrate["environment"]["DATABASE_DIRECT_URL"]
    assert owner == f"postgresql://{user}@db:5432/{database}"
    service = f"postgresql://api@${{DATABASE_HOST:-db}}:5432/{database}"
    assert api["environment"]["DATABASE_URL"] == service
    worker = compose["services"]["worker"]
    assert worker["command"] == ["app", "worker"]
    assert worker["depends_on"] == api["depends_on"]
    direct = f"postgresql://api@db:5432/{database}"
    assert worker["environment"] == api["environment"] | {
        "WORKER_DATABASE_URL": f"${{WORKER_DATABASE_URL:-{direct}}}"
    }
    differ = {"DATABASE_DIRECT_URL", "PGPASSWORD", "API_POSTGRES_PASSWORD"}
    assert api["environment"].keys() - differ == migrate["environment"].keys() - differ
    assert ("SECRET_KEY" in api["environment"]) is variant.use_auth


@variants(*VARIANTS)
def test_containers_have_no_rights_that_they_do_not_need(project: Path) -> None:
    for name, service in documents(project)["services"].items():
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["mem_limit"]
        assert service["pids_limit"]
        assert service.get("read_only") is (None if name == "db" else True)
        if name != "db":
            assert service.get("cap_add", []) == (["NET_BIND_SERVICE"] if name == "proxy" else [])
        if service.get("profiles") == ["observability"]:  # no matter how much the service may have
            assert service["mem_limit"] == "${OBSERVABILITY_MEMORY:-1g}"


def test_compose_is_yaml_before_rendering_and_has_no_default_for_a_secret() -> None:
    services = documents(ROOT / TEMPLATE_FOLDER)["services"].values()
    environments = [service["environment"] for service in services if "environment" in service]
    secret = re.compile(r"PASSWORD$|^SECRET_KEY$")
    values = {value for one in environments for name, value in one.items() if secret.search(name)}
    assert values == {
        None,
        "${POSTGRES_PASSWORD:-}",
        "${API_POSTGRES_PASSWORD:-}",
        "${GRAFANA_PASSWORD:-}",
    }


@variants(AUTH)
def test_each_profile_is_valid_and_each_image_is_a_variable(compose: Compose) -> None:
    services = documents(compose.project)["services"]
    images = {
        re.findall(r"^\$\{(\w+_IMAGE):-", service["image"])[0] for service in services.values()
    }
    compose.env |= {name: f"registry.example.com/{name.lower()}" for name in images}
    for profile in PROFILES:
        shown = json.loads(compose("--profile", profile, "config", "--format", "json"))
        wanted = {name for name, one in services.items() if profile in one.get("profiles", [])}
        assert shown["services"].keys() == wanted | {"db", "migrate", "api", "worker"}
        for service in shown["services"].values():
            assert service["image"].startswith("registry.example.com/")


@pytest.mark.parametrize("variant", in_each_run(LAST, slow=FIRST, of=FIRST_AND_LAST))
def test_compose_serves_with_every_setting_by_a_role_that_owns_nothing(
    variant: Variant, compose: Compose
) -> None:
    """The settings are in `.env` alone, and some are empty, as templates of deployments write them."""
    project = compose.project
    names = re.findall(r"^(?:# )?([A-Z0-9_]+)=", (project / ".env.example").read_text(), re.M)
    settings = dict.fromkeys(names, "") | {
        "POSTGRES_PASSWORD": """'p@ss:w/rd #$HOME%&"?= ü'""",
        "API_POSTGRES_PASSWORD": """'an:other/p@ss #$HOME%&"?= ü'""",
        "WEB_CONCURRENCY": "",
        "API_PREFIX": "/api",
        "LOG_LEVEL": "debug",
    }
    if variant.use_auth:
        settings |= {
            "MAIL_DELIVERY": "smtp",
            "SMTP_HOST": "smtp.example.com",
            "MAIL_FROM": "service@example.com",
            "FRONTEND_URL": "https://app.example.com",
            "REGISTRATION": "invitation",
        }
        mount_secret_key(project)
    lines = [f"{name}={value}\n" for name, value in settings.items()]
    (project / ".env").write_text("".join(lines), encoding="utf-8")
    for name in ("POSTGRES_PASSWORD", "API_POSTGRES_PASSWORD", "SECRET_KEY"):
        del compose.env[name]
    compose.up()

    (project / ".env").unlink()
    compose.env["POSTGRES_PASSWORD"] = ""  # the socket asks for none
    expected = HTTPStatus.UNAUTHORIZED if variant.use_auth else HTTPStatus.OK
    assert get_status(compose.address(), "/api/users") == expected
    assert "The schema is at the newest revision." in compose("logs", "migrate")
    psql = ("exec", "-T", "db", "psql", "--username=app", f"--dbname={project.name}", "-Atc")
    owners = (
        "SELECT string_agg(DISTINCT tableowner, ',') FROM pg_tables WHERE schemaname = 'public'"
    )
    powers = "SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = 'api'"
    assert compose(*psql, owners) == "app"
    assert compose(*psql, powers) == "f"
    status = compose("exec", "-T", "api", "cat", "/proc/self/status")
    assert re.search(r"(?m)^CapBnd:\s0+$", status)
    assert re.search(r"(?m)^NoNewPrivs:\s1$", status)
    with pytest.raises(AssertionError, match="Read-only file system"):
        compose("exec", "-T", "api", "touch", "/srv/app/x")


def mount_secret_key(project: Path) -> None:
    """Do as docs/deployment.md says: a file for the secret, and an override that names it."""
    file = project / "secrets" / "secret_key"
    file.parent.mkdir()
    file.write_text(secrets.token_urlsafe(48), encoding="utf-8")
    text = (project / "docs" / "deployment.md").read_text(encoding="utf-8")
    (override,) = re.findall(r"(?s)```yaml\n(# compose\.override\.yaml\n.*?)```", text)
    (project / "compose.override.yaml").write_text(override, encoding="utf-8")


@pytest.mark.slow
@variants(AUTH)
def test_lines_of_readme_start_all_on_one_machine(compose: Compose) -> None:
    """In the foreground, until somebody interrupts it."""
    project = compose.project
    for name in ("POSTGRES_PASSWORD", "API_POSTGRES_PASSWORD", "SECRET_KEY"):
        del compose.env[name]
    compose.env["APP_IMAGE"] = image = unique_name()
    *settings, start = [
        line for line in lines_of(project / "README.md") if line.startswith(("echo ", "docker "))
    ]
    run_in_shell(compose, *settings)
    log = project.with_name("compose.log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["sh", "-c", f"exec {start}"],
            cwd=project,
            env=os.environ | compose.env,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )

    def serves() -> bool:
        assert process.poll() is None, log.read_text(encoding="utf-8")
        services = compose("ps", "--services", "--status", "running").split()
        return "api" in services and get_status(compose.address(), "/health/ready") == HTTPStatus.OK

    try:
        wait_until(serves, lambda: log.read_text(encoding="utf-8"), 300)
        assert {"api", "db", "worker"} <= {*compose("ps", "--services").split()}
        process.send_signal(signal.SIGINT)
        process.wait(60)
        assert compose("ps", "--services", "--status", "running") == ""
    finally:
        if process.poll() is None:
            process.kill()
        compose("down", "--volumes", "--timeout", "5")
        remove_image(image)


@variants(AUTH)
def test_compose_stops_at_wrong_settings(compose: Compose) -> None:
    del compose.env["SECRET_KEY"]
    with pytest.raises(AssertionError, match="migrate"):
        compose.up()

    assert "SECRET_KEY: not set" in compose("logs", "migrate")
    assert compose("ps", "--services", "--status", "running") == "db"


@variants(NO_AUTH)
def test_pgbouncer_and_a_replica_serve_with_any_password(compose: Compose) -> None:
    compose.env |= {
        "COMPOSE_PROFILES": "pgbouncer,replica",
        "PGBOUNCER_IMAGE": unique_name(),
        "DATABASE_HOST": "pgbouncer",
        "DATABASE_POOLER": "true",
        "DATABASE_POOLER_PREPARES": "true",
        "DATABASE_REPLICA_URL": f"postgresql://api@replica:5432/{compose.project.name}",
    }
    if BASE_IMAGE:
        compose.env["DEBIAN_IMAGE"] = BASE_IMAGE
    compose("build", "--quiet", "pgbouncer")
    compose.up()
    address = compose.address()
    assert send(address, "POST", "/users", new_user()) == HTTPStatus.CREATED
    assert get_status(address, "/users") == HTTPStatus.OK

    clients = "SELECT count(DISTINCT client_addr) FROM pg_stat_activity WHERE usename = 'api'"
    pooler, worker = (
        compose("exec", "-T", "api", "getent", "hosts", name).split()[0]
        for name in ("pgbouncer", "worker")
    )
    seen = "SELECT DISTINCT client_addr FROM pg_stat_activity WHERE usename = 'api'"
    assert set(compose.query(seen).split()) == {pooler, worker}  # which is notified of jobs there
    assert compose.query(clients, "replica") == "1"  # the reads
    wait_until(
        lambda: compose.query("SELECT count(*) FROM users", "replica") == "1",
        lambda: compose("logs", "replica"),
    )
    assert compose.query("SELECT state FROM pg_stat_replication") == "streaming"
    limit = "SELECT unnest(setconfig) FROM pg_db_role_setting JOIN pg_roles r ON r.oid = setrole"
    assert "statement_timeout=4000" in compose.query(f"{limit} WHERE rolname = 'api'")


@pytest.mark.slow
@variants(AUTH)
def test_prometheus_finds_the_containers_and_understands_the_rules(
    compose: Compose, workspace: Path
) -> None:
    """Of the profile's three programs, Prometheus is the one that Debian has."""
    compose.env |= {
        "COMPOSE_PROFILES": "observability",
        "METRICS": "9464",
        "PROMETHEUS_PORT": "0",
        "GRAFANA_PORT": "0",
    }
    samples = (ROOT / "tests" / "alerts_test.yml").read_text(encoding="utf-8")
    (compose.project / "deploy/prometheus/alerts_test.yml").write_text(
        samples.replace("SLUG", compose.project.name), encoding="utf-8"
    )
    if BASE_IMAGE:
        folder = "RUN mkdir /prometheus && chown nobody /prometheus"
        compose.env["PROMETHEUS_IMAGE"] = debian_image(
            "prometheus", workspace, folder, "USER nobody", 'ENTRYPOINT ["prometheus"]'
        )
        compose.up("api", "worker", "prometheus")
    else:
        compose.up()
    prometheus = compose.address("prometheus", 9090)

    def scraped() -> bool:
        targets = ask(prometheus, "targets")["activeTargets"]
        return [target["health"] for target in targets] == ["up", "up"]

    wait_until(scraped, lambda: compose("logs", "prometheus"))
    rules = [rule for group in ask(prometheus, "rules")["groups"] for rule in group["rules"]]
    written = yaml.safe_load((compose.project / "deploy/prometheus/alerts.yml").read_text())
    assert {rule["name"] for rule in rules} == {
        rule["alert"] for group in written["groups"] for rule in group["rules"]
    }
    assert {rule["lastError"] for rule in rules if "lastError" in rule} == set()
    assert ask(prometheus, "query?query=sum(database_pool_size)")["result"]
    folder = "--env=TMPDIR=/prometheus"  # the one that promtool can write to
    tests = ("promtool", "test", "rules", "/etc/prometheus/alerts_test.yml")
    compose("exec", "-T", folder, "prometheus", *tests)  # fails with the alerts that differ


def ask(prometheus: str, path: str) -> Any:
    """Return what the interface of Prometheus says."""
    connection = http.client.HTTPConnection(prometheus, timeout=10)
    try:
        connection.request("GET", f"/api/v1/{path}")
        return json.loads(connection.getresponse().read())["data"]
    finally:
        connection.close()


class Caller:
    """Sends requests all the time, on new connections and on old ones, and keeps what failed."""

    def __init__(self, address: str) -> None:
        self.failures: list[str] = []
        self.sent = 0
        self._address = address
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._call, args=(method, keep_alive), daemon=True)
            for method in ("GET", "POST")
            for keep_alive in (True, False)
        ]

    @contextmanager
    def calling(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in self._threads:
                thread.join()

    def _call(self, method: str, keep_alive: bool) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=10)
        while not self._over.is_set():
            body = json.dumps(new_user()) if method == "POST" else None
            try:
                connection.request(method, "/users", body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                response.read()
                if response.status >= HTTPStatus.BAD_REQUEST:
                    self.failures.append(f"{method} got {response.status}")
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{method} failed: {error!r}")
            if not keep_alive or self.failures:
                connection.close()
            self.sent += 1
            time.sleep(0.01)
        connection.close()


@pytest.mark.slow
@variants(OTHER_DRIVER)
def test_new_version_is_rolled_out_without_a_gap_and_data_stay(
    compose: Compose, workspace: Path, record_property: Callable[[str, object], None]
) -> None:
    compose.env |= {
        "COMPOSE_PROFILES": "proxy",
        "DRAIN_SECONDS": "3",
        "HTTP_PORT": "127.0.0.1:0",
        "HTTPS_PORT": "127.0.0.1:0",
    }
    if BASE_IMAGE:
        compose.env["CADDY_IMAGE"] = debian_image("caddy", workspace)
    compose.up()
    address = compose.address("proxy", 80)
    caller = Caller(address)
    image = build(next_version(compose.project))
    try:
        with caller.calling():
            wait_until(lambda: caller.sent > 20, lambda: compose("logs", "proxy"))
            compose.env["APP_IMAGE"] = image
            before = running(compose)
            roll_out(compose)
        assert not caller.failures, f"{caller.failures[:10]} of {caller.sent}"
        assert running(compose).isdisjoint(before)
        record_property("figures", f"{caller.sent} requests during the roll-out, none failed")

        assert compose.query("SELECT to_regclass('notes')") == "notes"
        users = compose.query("SELECT count(*) FROM users")
        assert int(users) > 10
        compose("restart", "--timeout", "5", "db")
        wait_until(
            lambda: get_status(address, "/users") == HTTPStatus.OK, lambda: compose("logs", "api")
        )
        compose("down", "--timeout", "5")
        compose.up("db")
        assert compose.query("SELECT count(*) FROM users") == users

        backup, restore = lines_by_block(compose.project / "docs/operations.md")
        run_in_shell(compose, *backup)
        compose.query("DROP TABLE notes; DELETE FROM users")
        run_in_shell(compose, *restore[:-1])  # the last line starts all services
        assert compose.query("SELECT count(*) FROM users") == users
        assert compose.query("SELECT to_regclass('notes')") == "notes"
        assert compose.query("SELECT has_table_privilege('api', 'users', 'UPDATE')") == "t"

        compose("up", "--no-build", "--detach", "--no-deps", "api")
        stopping = time.monotonic()
        compose("stop", "--timeout", "30", "api")  # while it starts
        assert time.monotonic() - stopping < 20
    finally:
        compose("--profile", "*", "down", "--volumes", "--timeout", "5")
        remove_image(image)


def roll_out(compose: Compose) -> None:
    """Run the commands of docs/deployment.md, without a build."""
    blocks = lines_by_block(compose.project / "docs/deployment.md")
    ((_build, *lines),) = [block for block in blocks if block[0] == "docker compose build"]
    for line in lines:
        compose(*line.removeprefix("docker compose ").split())


def run_in_shell(compose: Compose, *commands: str) -> None:
    """Run commands as a person types them, in the folder of the project."""
    for line in commands:
        output_of("sh", "-c", line, folder=compose.project, env=os.environ | compose.env)


def running(compose: Compose) -> set[str]:
    return set(compose("ps", "--quiet", "api", "api-2").split())


def next_version(project: Path) -> Path:
    """Return a copy of the project whose only change is a revision."""
    copy = Path(shutil.copytree(project, project.with_name("next")))
    folder = copy / "alembic" / "versions"
    texts = [path.read_text(encoding="utf-8") for path in folder.glob("*.py")]
    revisions = {re.findall(r'(?m)^revision\b.*"(\w+)"', text)[0] for text in texts}
    followed = {
        name
        for text in texts
        for line in re.findall(r"(?m)^down_revision\b.*", text)
        for name in re.findall(r'"(\w+)"', line)
    }
    (head,) = revisions - followed
    text = REVISION.format(revision="f00dcafe0001", head=head)
    (folder / "2027_01_01_f00dcafe0001_add_notes_table.py").write_text(text, encoding="utf-8")
    return copy
