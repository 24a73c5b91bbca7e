"""The image: it migrates a database, serves from it, and stops when told to."""

import json
import re
import secrets
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import pytest
from baking import bake, run_uv
from containers import (
    POSTGRES_IMAGE,
    build,
    built_image,
    container,
    docker,
    get_status,
    image_of,
    network,
    state,
    succeeds,
    wait_until,
)
from parameters import FIRST, FIRST_AND_LAST, LAST, in_each_run
from variants import VARIANTS, Variant

pytestmark = pytest.mark.usefixtures("docker_engine")

STOP_SECONDS = 5  # Docker itself ends a container that needs more than 10
# On 2026-11-29, with asyncpg and auth: 113 MB, and 2.8 MB.
LARGEST_DEPENDENCIES = 115 * 10**6
LARGEST_APP = 4 * 10**6

one_variant = pytest.mark.parametrize("variant", VARIANTS[:1], ids=lambda variant: variant.name)
# Between them, every answer.
two_variants = pytest.mark.parametrize("variant", in_each_run(FIRST, slow=LAST, of=FIRST_AND_LAST))

# As Kubernetes and Compose run it.
NO_RIGHTS = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")


@pytest.fixture
def image(variant: Variant, template: Path, workspace: Path) -> str:
    return image_of(variant, template, workspace)


@pytest.fixture
def project(variant: Variant, template: Path, tmp_path: Path) -> Path:
    return bake(template, tmp_path, db_driver=variant.db_driver, use_auth=variant.use_auth)


@two_variants
def test_image_migrates_serves_and_stops_when_told(variant: Variant, image: str) -> None:
    shipped = docker("run", "--rm", image, "ls", "-A").split()
    assert shipped == [".venv", "README.md", "alembic", "app", "pyproject.toml", "uv.lock"]

    with (
        network() as private,
        container(
            f"--network={private}", "--env=POSTGRES_PASSWORD=postgres", POSTGRES_IMAGE
        ) as database,
    ):
        wait_until(
            lambda: succeeds("exec", database, "pg_isready", "--host=127.0.0.1"),
            lambda: docker("logs", database),
        )
        url = f"postgresql://postgres:postgres@{database}/postgres"
        settings = [f"--network={private}", *NO_RIGHTS, f"--env=DATABASE_URL={url}"]
        if variant.use_auth:
            settings.append(f"--env=SECRET_KEY={secrets.token_urlsafe(48)}")
        docker("run", "--rm", *settings, image, "app", "migrate")

        serving = ("--publish=127.0.0.1::8000", "--health-interval=1s")
        with container(*settings, *serving, image) as api:
            address = docker("port", api, "8000/tcp")
            wait_until(
                lambda: get_status(address, "/health/ready") == HTTPStatus.OK,
                lambda: docker("logs", api),
            )
            expected = HTTPStatus.UNAUTHORIZED if variant.use_auth else HTTPStatus.OK
            assert get_status(address, "/users") == expected
            wait_until(
                lambda: state(api, "Health.Status") == "healthy", lambda: docker("logs", api)
            )
            assert docker("exec", api, "id", "-u") != "0"

            stopping = time.monotonic()
            docker("stop", api)
            assert time.monotonic() - stopping < STOP_SECONDS
            assert state(api, "ExitCode") == "0"


@one_variant
def test_settings_are_read_from_files(image: str, tmp_path: Path) -> None:
    """As Docker and Kubernetes mount secrets."""
    values = {
        "secret_key": secrets.token_urlsafe(48),
        "DATABASE_URL": "postgresql://api:p%40ss@db/app",
    }
    for name, value in values.items():
        (tmp_path / name).write_text(f"{value}\n", encoding="utf-8")
    mount = f"--volume={tmp_path}:/run/secrets:ro"
    check = ("run", "--rm", *NO_RIGHTS, mount, image, "app", "check")
    tmp_path.chmod(0o755)
    assert "valid" in docker(*check)

    (tmp_path / "secret_key").chmod(0o600)  # of another user
    with pytest.raises(AssertionError, match="Cannot read /run/secrets/secret_key: Permission"):
        docker(*check)


@one_variant
def test_change_of_code_is_a_small_layer(
    image: str, project: Path, record_property: Callable[[str, object], None]
) -> None:
    """What a new version pushes: not the dependencies again."""
    unique = secrets.randbelow(10**9)  # no earlier run has built it
    for name, line in {
        "app/__init__.py": f'__version__ = "7.0.{unique}"',
        "app/exceptions.py": f"UNIQUE = {unique}",
    }.items():
        text = (project / name).read_text(encoding="utf-8")
        (project / name).write_text(f"{text}\n{line}\n", encoding="utf-8")
    building = time.monotonic()
    with built_image(project) as changed:
        seconds = time.monotonic() - building
        before, after = (layers(name) for name in (image, changed))
        sizes = [
            int(size)
            for size in docker("history", "--human=false", "--format={{.Size}}", changed).split()
        ]
    assert before[:-1] == after[:-1]
    assert before[-1] != after[-1]
    # The newest first: the code comes last, so that its change repeats no other step.
    app, dependencies = sizes[0], next(size for size in sizes[1:] if size > 0)
    assert app < LARGEST_APP
    assert dependencies < LARGEST_DEPENDENCIES
    figures = f"app {app / 1e6:.1f} MB, dependencies {dependencies / 1e6:.0f} MB, {seconds:.1f} s"
    record_property("figures", figures)


def layers(image: str) -> list[str]:
    found: list[str] = json.loads(
        docker("image", "inspect", "--format={{json .RootFS.Layers}}", image)
    )
    return found


@one_variant
def test_image_is_not_built_from_a_stale_lock(project: Path) -> None:
    run_uv(project, "lock")
    pyproject = project / "pyproject.toml"
    text = pyproject.read_text(encoding="utf-8")
    pyproject.write_text(
        text.replace("dependencies = [", 'dependencies = ["idna",', 1), encoding="utf-8"
    )
    with pytest.raises(AssertionError, match="needs to be updated"), built_image(project):
        pass


@one_variant
def test_optional_dependencies_are_installed_by_their_names(project: Path) -> None:
    with pytest.raises(AssertionError, match="Extra `nothing` is not defined"):
        build(project, "--build-arg=EXTRAS=nothing other")


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
