"""Docker's commands, and the images of baked projects, for the tests."""

import http.client
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from baking import bake, made_once
from processes import output_of
from variants import Variant

DOCKER = shutil.which("docker") or "docker"
BASE_IMAGE = os.environ.get("PYTHON_IMAGE")  # where no registry can be reached
POSTGRES_IMAGE = os.environ.get("POSTGRES_IMAGE", "postgres:17")


def docker(*arguments: str, env: Mapping[str, str] | None = None, input_: str = "") -> str:
    """Run a docker command and return its output; raise AssertionError with it on failure."""
    return output_of(DOCKER, *arguments, env=os.environ | dict(env or {}), input_=input_).strip()


def succeeds(*arguments: str) -> bool:
    try:
        docker(*arguments)
    except (AssertionError, FileNotFoundError):
        return False
    return True


def unique_name() -> str:
    return f"template-test-{uuid4().hex}"


def build(folder: Path, *arguments: str) -> str:
    """Build the folder's Dockerfile and return the image's name. Its layers stay, as a cache."""
    name = unique_name()
    base = [f"--build-arg=PYTHON_IMAGE={BASE_IMAGE}"] if BASE_IMAGE else []
    docker("build", "--force-rm", "--tag", name, *base, *arguments, str(folder))
    return name


def remove_image(name: str) -> None:
    # Another build may stand on the same layers, and would miss a parent that is pruned.
    docker("image", "rm", "--force", "--no-prune", name)


@contextmanager
def built_image(folder: Path) -> Iterator[str]:
    """Build an image for one test."""
    name = build(folder)
    try:
        yield name
    finally:
        remove_image(name)


def image_of(variant: Variant, template: Path, workspace: Path) -> str:
    """Return the image of a baked variant, which all tests of a run share."""

    def make(folder: Path) -> str:
        answers = {"db_driver": variant.db_driver, "use_auth": variant.use_auth}
        return build(bake(template, folder, **answers))

    return str(made_once(workspace / f"image-{variant.name}", make))


def debian_image(package: str, workspace: Path, *rest: str) -> str:
    """Return an image with a package of Debian, for a program whose own image cannot be pulled.

    `rest` are further lines of its Dockerfile.
    """

    def make(folder: Path) -> str:
        lines = (
            f"FROM {BASE_IMAGE}",
            f"RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends {package}",
            *rest,
        )
        (folder / "Dockerfile").write_text("\n".join(lines), encoding="utf-8")
        name = unique_name()
        docker("build", "--force-rm", "--tag", name, str(folder))
        return name

    return str(made_once(workspace / f"image-{package}", make))


def remove_shared_images(workspace: Path) -> None:
    """Remove the images that the tests of a run have shared, when all of them are over."""
    for record in workspace.glob("image-*.json"):
        remove_image(record.read_text(encoding="utf-8").strip('"'))


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


def state(container_name: str, field: str) -> str:
    return docker("inspect", "--format", f"{{{{.State.{field}}}}}", container_name)


def wait_until(condition: Callable[[], bool], log: Callable[[], str], seconds: float = 60) -> None:
    """Wait for something that a container does; raise AssertionError with its log if it does not."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"Not within {seconds} seconds. The log:\n{log()}")
        time.sleep(0.1)


def get_status(address: str, path: str) -> int | None:
    """Return the status of the response to a GET, or None while there is none."""
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
