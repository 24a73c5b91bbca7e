"""Each variant as containers: its image migrates a database, serves from it, and stops when told to."""

import http.client
import os
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from uuid import uuid4

import pytest
import yaml
from baking import ROOT, TEMPLATE_FOLDER, bake, run_uv
from variants import VARIANTS, Variant

DOCKER = shutil.which("docker") or "docker"
STOP_SECONDS = 5  # Docker itself ends a container that needs more than 10

each_variant = pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)


def docker(*arguments: str, env: Mapping[str, str] | None = None) -> str:
    """Run a docker command and return its output; raise AssertionError with it on failure."""
    completed = subprocess.run(
        [DOCKER, *arguments],
        env=os.environ | dict(env or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if completed.returncode:
        command = " ".join(("docker", *arguments))
        raise AssertionError(f"`{command}` exited with {completed.returncode}:\n{completed.stdout}")
    return completed.stdout.strip()


def succeeds(*arguments: str) -> bool:
    try:
        docker(*arguments)
    except (AssertionError, FileNotFoundError):
        return False
    return True


@pytest.fixture(scope="session")
def docker_engine() -> None:
    """Skip the test on a machine without a Docker engine; fail where there has to be one."""
    if succeeds("info"):
        return
    if os.environ.get("TEST_POSTGRES") == "container":
        pytest.fail("No Docker engine answers, and TEST_POSTGRES=container demands one.")
    pytest.skip("no Docker engine answers")


@pytest.fixture
def project(variant: Variant, template: Path, tmp_path: Path) -> Path:
    return bake(template, tmp_path, db_driver=variant.db_driver, use_auth=variant.use_auth)


@contextmanager
def built_image(folder: Path) -> Iterator[str]:
    """Build the folder's Dockerfile and yield the image's name. Its layers stay, as a cache."""
    name = unique_name()
    base = (
        [f"--build-arg=PYTHON_IMAGE={image}"] if (image := os.environ.get("PYTHON_IMAGE")) else []
    )
    docker("build", "--force-rm", "--tag", name, *base, str(folder))
    try:
        yield name
    finally:
        # Another build may stand on the same layers, and would miss a parent that is pruned.
        docker("image", "rm", "--force", "--no-prune", name)


@contextmanager
def network() -> Iterator[str]:
    name = unique_name()
    docker("network", "create", name)
    try:
        yield name
    finally:
        docker("network", "rm", name)


@contextmanager
def container(*arguments: str) -> Iterator[str]:
    """Run a container in the background, yield its name, and remove it together with its volumes."""
    name = unique_name()
    docker("create", "--name", name, *arguments)
    try:
        docker("start", name)
        yield name
    finally:
        docker("rm", "--force", "--volumes", name)


def unique_name() -> str:
    return f"template-test-{uuid4().hex}"


def state(container_name: str, field: str) -> str:
    return docker("inspect", "--format", f"{{{{.State.{field}}}}}", container_name)


def wait_until(condition: Callable[[], bool], container_name: str, seconds: float = 60) -> None:
    """Wait for something that a container does; raise AssertionError with its log if it does not."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            log = docker("logs", container_name)
            raise AssertionError(f"Not within {seconds} seconds. The log of the container:\n{log}")
        time.sleep(0.1)


def get_status(address: str, path: str) -> int | None:
    """Return the status that a GET answers, or None while nobody does."""
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


@pytest.mark.usefixtures("docker_engine")
@each_variant
def test_image_migrates_serves_and_stops_when_told(variant: Variant, project: Path) -> None:
    (project / ".env").write_text("STAYS=on this machine\n", encoding="utf-8")
    with built_image(project) as image, network() as private:
        shipped = docker("run", "--rm", image, "ls", "-A").split()
        assert shipped == [".venv", "README.md", "alembic", "app", "pyproject.toml", "uv.lock"]

        on_network = f"--network={private}"
        postgres = os.environ.get("POSTGRES_IMAGE", "postgres:17")
        with container(on_network, "--env=POSTGRES_PASSWORD=postgres", postgres) as database:
            wait_until(
                lambda: succeeds("exec", database, "pg_isready", "--host=127.0.0.1"), database
            )
            settings = [f"--env=DATABASE_URL=postgresql://postgres:postgres@{database}/postgres"]
            if variant.use_auth:
                settings.append(f"--env=SECRET_KEY={secrets.token_urlsafe(48)}")
            docker("run", "--rm", on_network, *settings, image, "app", "migrate")

            serving = ("--publish=127.0.0.1::8000", "--health-interval=1s")
            with container(on_network, *settings, *serving, image) as api:
                address = docker("port", api, "8000/tcp")
                wait_until(lambda: get_status(address, "/health/ready") == HTTPStatus.OK, api)
                expected = HTTPStatus.UNAUTHORIZED if variant.use_auth else HTTPStatus.OK
                assert get_status(address, "/users") == expected
                wait_until(lambda: state(api, "Health.Status") == "healthy", api)
                assert docker("exec", api, "id", "-u") != "0"

                stopping = time.monotonic()
                docker("stop", api)
                assert time.monotonic() - stopping < STOP_SECONDS
                assert state(api, "ExitCode") == "0"


@pytest.mark.usefixtures("docker_engine")
@pytest.mark.parametrize("variant", VARIANTS[:1], ids=lambda variant: variant.name)
def test_image_is_not_built_from_a_stale_lock(project: Path) -> None:
    run_uv(project, "lock")
    pyproject = project / "pyproject.toml"
    text = pyproject.read_text(encoding="utf-8")
    pyproject.write_text(
        text.replace("dependencies = [", 'dependencies = ["idna",', 1), encoding="utf-8"
    )
    with pytest.raises(AssertionError, match="needs to be updated"), built_image(project):
        pass


@pytest.mark.usefixtures("docker_engine")
def test_image_carries_the_answers_unharmed(template: Path, tmp_path: Path) -> None:
    name, description = r"""O'Reilly "API" \ $HOME `id` é 😀 100%""", "Ends in a backslash \\"
    baked = bake(
        template, tmp_path, project_slug="demo", project_name=name, description=description
    )
    # Of the Dockerfile only the labels, for nothing else in it depends on these answers.
    dockerfile = (baked / "Dockerfile").read_text(encoding="utf-8")
    labels = re.search(r"^LABEL (?:.*\\\n)*.*", dockerfile, re.MULTILINE)
    assert labels
    folder = tmp_path / "labels"
    folder.mkdir()
    (folder / "Dockerfile").write_text(f"FROM scratch\n{labels[0]}\n", encoding="utf-8")
    with built_image(folder) as image:
        for label, answer in {"title": name, "description": description}.items():
            value = f'{{{{index .Config.Labels "org.opencontainers.image.{label}"}}}}'
            assert docker("inspect", "--format", value, image) == answer


@each_variant
def test_compose_starts_database_then_migration_then_api(variant: Variant, project: Path) -> None:
    compose = yaml.safe_load((project / "compose.yaml").read_text(encoding="utf-8"))
    assert compose["services"].keys() == {"db", "migrate", "api"}
    db, migrate, api = (compose["services"][name] for name in ("db", "migrate", "api"))

    assert "healthcheck" in db
    assert migrate["depends_on"] == {"db": {"condition": "service_healthy"}}
    assert migrate["command"] == ["sh", "-c", "app check && app migrate && app grant"]
    assert api["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert migrate["image"] == api["image"] == project.name

    (volume, folder), *others = (mount.split(":") for mount in db["volumes"])
    assert ([volume], others) == (list(compose["volumes"]), [])
    assert db["environment"]["PGDATA"].startswith(f"{folder}/")
    assert [port.split(":")[0] for port in api["ports"]] == ["127.0.0.1"]

    user, database = db["environment"]["POSTGRES_USER"], db["environment"]["POSTGRES_DB"]
    assert (
        migrate["environment"]["DATABASE_DIRECT_URL"] == f"postgresql://{user}@db:5432/{database}"
    )
    assert api["environment"]["DATABASE_URL"] == f"postgresql://api@db:5432/{database}"
    differ = {"DATABASE_DIRECT_URL", "PGPASSWORD", "API_POSTGRES_PASSWORD"}
    assert api["environment"].keys() - differ == migrate["environment"].keys() - differ
    assert ("SECRET_KEY" in api["environment"]) is variant.use_auth


@each_variant
def test_containers_have_no_rights_that_they_do_not_need(project: Path) -> None:
    compose = yaml.safe_load((project / "compose.yaml").read_text(encoding="utf-8"))
    for name, service in compose["services"].items():
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["mem_limit"]
        assert service["pids_limit"]
        if name != "db":
            assert service["read_only"] is True
            assert "cap_add" not in service


@pytest.mark.usefixtures("docker_engine")
@pytest.mark.parametrize("variant", VARIANTS[:1], ids=lambda variant: variant.name)
def test_compose_serves_with_a_role_that_owns_nothing(project: Path) -> None:
    if not succeeds("compose", "version"):
        pytest.skip("this machine has no `docker compose`")
    folder = project.rename(project.with_name(unique_name()))  # names the containers
    if image := os.environ.get("PYTHON_IMAGE"):
        dockerfile = folder / "Dockerfile"
        text = dockerfile.read_text(encoding="utf-8")
        dockerfile.write_text(
            re.sub("(?m)^ARG PYTHON_IMAGE=.*", f"ARG PYTHON_IMAGE={image}", text), encoding="utf-8"
        )
    env = {
        "POSTGRES_PASSWORD": secrets.token_hex(8),
        "API_POSTGRES_PASSWORD": secrets.token_hex(8),
        "SECRET_KEY": secrets.token_urlsafe(48),
        "PORT": "0",
    }
    compose = ("compose", "--project-directory", str(folder))
    ask = "SELECT string_agg(DISTINCT tableowner, ',') FROM pg_tables WHERE schemaname = 'public'"
    powers = "SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = 'api'"
    try:
        docker(*compose, "up", "--build", "--detach", "--wait", env=env)
        address = docker(*compose, "port", "api", "8000", env=env)
        assert get_status(address, "/health/ready") == HTTPStatus.OK
        psql = (*compose, "exec", "-T", "db", "psql", "-U", "app", "-d", project.name, "-Atc")
        assert docker(*psql, ask, env=env) == "app"
        assert docker(*psql, powers, env=env) == "f"
        status = docker(*compose, "exec", "-T", "api", "cat", "/proc/self/status", env=env)
        assert re.search(r"(?m)^CapBnd:\s0+$", status)
        assert re.search(r"(?m)^NoNewPrivs:\s1$", status)
        with pytest.raises(AssertionError, match="Read-only file system"):
            docker(*compose, "exec", "-T", "api", "touch", "/srv/app/x", env=env)
    finally:
        docker(*compose, "down", "--volumes", env=env)


def test_compose_is_yaml_before_rendering_and_has_no_default_for_a_secret() -> None:
    compose = yaml.safe_load((ROOT / TEMPLATE_FOLDER / "compose.yaml").read_text(encoding="utf-8"))
    environments = [service["environment"] for service in compose["services"].values()]
    secrets_ = {
        "POSTGRES_PASSWORD",
        "API_POSTGRES_PASSWORD",
        "PGPASSWORD",
        "SECRET_KEY",
        "SMTP_PASSWORD",
    }
    values = [env[name] for env in environments for name in secrets_ & env.keys()]
    assert len(values) >= len(secrets_)
    assert set(values) == {None, "${POSTGRES_PASSWORD:-}", "${API_POSTGRES_PASSWORD:-}"}


@pytest.fixture
def compose(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Yield a function that runs `docker compose` in the project, without variables of settings."""
    if not succeeds("compose", "version"):
        pytest.skip("this machine has no `docker compose`")
    for name in ("POSTGRES_PASSWORD", "API_POSTGRES_PASSWORD", "SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(project)
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", unique_name())
    monkeypatch.setenv("PORT", "0")
    yield lambda *arguments: docker("compose", *arguments)
    docker("compose", "down", "--volumes", "--rmi", "local")


@pytest.mark.usefixtures("docker_engine")
@pytest.mark.parametrize("variant", VARIANTS[::3], ids=lambda variant: variant.name)
def test_compose_serves_with_every_setting_and_any_password(
    variant: Variant, project: Path, compose: Callable[..., str]
) -> None:
    """The settings are in `.env` alone, and some are empty, as templates of deployments write them."""
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
            "SECRET_KEY": secrets.token_urlsafe(48),
            "MAIL_DELIVERY": "smtp",
            "SMTP_HOST": "smtp.example.com",
            "MAIL_FROM": "service@example.com",
            "FRONTEND_URL": "https://app.example.com",
            "REGISTRATION": "invitation",
        }
    lines = [f"{name}={value}\n" for name, value in settings.items()]
    (project / ".env").write_text("".join(lines), encoding="utf-8")
    compose("up", "--build", "--detach", "--wait")

    (project / ".env").unlink()
    address = compose("port", "api", "8000")
    expected = HTTPStatus.UNAUTHORIZED if variant.use_auth else HTTPStatus.OK
    assert get_status(address, "/api/users") == expected
    assert "api" in compose("ps", "--services")
    assert "The schema is at the newest revision." in compose("logs", "migrate")


@pytest.mark.usefixtures("docker_engine")
@pytest.mark.parametrize("variant", VARIANTS[:1], ids=lambda variant: variant.name)
def test_compose_stops_at_wrong_settings(project: Path, compose: Callable[..., str]) -> None:
    (project / ".env").write_text("POSTGRES_PASSWORD=secret\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="migrate"):
        compose("up", "--build", "--detach", "--wait")

    assert "SECRET_KEY: not set" in compose("logs", "migrate")
    assert compose("ps", "--services", "--status", "running") == "db"
