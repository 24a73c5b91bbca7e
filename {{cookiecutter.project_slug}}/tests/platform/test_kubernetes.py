"""The deployment for Kubernetes gives the service no more rights than Compose does."""

from typing import Any, Final

import pytest
import yaml
from fastapi import FastAPI

from app.core.config import Settings
from app.core.env_file import PROJECT

DOCUMENTS: Final[dict[str, Any]] = {
    document["kind"]: document
    for document in yaml.safe_load_all(
        (PROJECT / "deploy" / "kubernetes.yaml").read_text(encoding="utf-8")
    )
}


def pod_of(kind: str) -> dict[str, Any]:
    pod: dict[str, Any] = DOCUMENTS[kind]["spec"]["template"]["spec"]
    return pod


def secrets_of(kind: str) -> dict[str, str]:
    (container,) = pod_of(kind)["containers"]
    return {
        variable["name"]: variable["valueFrom"]["secretKeyRef"]["key"]
        for variable in container["env"]
        if "valueFrom" in variable
    }


@pytest.mark.parametrize("kind", ["Job", "Deployment"])
def test_pods_have_no_rights(kind: str) -> None:
    pod = pod_of(kind)
    (container,) = pod["containers"]

    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "memory" in container["resources"]["limits"]


def test_service_does_not_know_the_owner_of_the_tables() -> None:
    assert secrets_of("Job")["DATABASE_DIRECT_URL"] == "owner-url"
    assert "owner-url" not in secrets_of("Deployment").values()
    assert secrets_of("Deployment")["DATABASE_URL"] == "service-url"


def test_pods_have_the_settings_that_are_required() -> None:
    required = {
        name.upper() for name, field in Settings.model_fields.items() if field.is_required()
    }
    known = {name.upper() for name in Settings.model_fields}
    for kind in ("Job", "Deployment"):
        (container,) = pod_of(kind)["containers"]
        names = {variable["name"] for variable in container["env"]}

        assert required <= names <= known


def test_probes_ask_routes_of_the_service(app: FastAPI) -> None:
    (container,) = pod_of("Deployment")["containers"]
    paths = {
        container[probe]["httpGet"]["path"]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe")
    }

    assert paths == {"/health/live", "/health/ready"}
    assert paths <= app.openapi()["paths"].keys()


def test_pods_have_time_to_drain() -> None:
    (container,) = pod_of("Deployment")["containers"]
    (drain,) = [one["value"] for one in container["env"] if one["name"] == "DRAIN_SECONDS"]
    stop = 8  # of the image's --timeout-graceful-shutdown

    assert "--timeout-graceful-shutdown 8" in (PROJECT / "Dockerfile").read_text(encoding="utf-8")
    assert pod_of("Deployment")["terminationGracePeriodSeconds"] > int(drain) + stop
