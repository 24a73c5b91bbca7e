"""The manifests for Kubernetes fit the service, and give it no more rights than Compose does."""

import re
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Final

import pytest
import uvicorn
import yaml
from click.testing import CliRunner
from fastapi import FastAPI

from app.core.config import Settings
from app.core.env_file import PROJECT
from app.worker import create_worker
from tests.ip_versions import has_ipv6

FOLDER: Final = PROJECT / "deploy" / "kubernetes"
OVERLAYS: Final = sorted(path.name for path in (FOLDER / "overlays").iterdir())
SETTINGS: Final = {name.upper() for name in Settings.model_fields}
# What PostgreSQL accepts by default (max_connections), less those for superusers, and what a migration takes.
CONNECTIONS: Final = 100 - 3 - 2

each_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


def read(path: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / path).read_text(encoding="utf-8"))
    return found


def pod_of(name: str) -> dict[str, Any]:
    pod: dict[str, Any] = read(f"base/{name}.yaml")["spec"]["template"]["spec"]
    return pod


def settings_of(folder: str) -> dict[str, str]:
    text = (FOLDER / folder / "settings.env").read_text(encoding="utf-8")
    return dict(re.findall(r"(?m)^([A-Z_]+)=(.*)$", text))


def secrets_of(overlay: str) -> list[set[str]]:
    """Return the keys of each secret that the head of an overlay tells to create."""
    text = (FOLDER / "overlays" / overlay / "kustomization.yaml").read_text(encoding="utf-8")
    commands = text.split("create secret generic")[1:]
    return [set(re.findall(r"--from-literal=([A-Z_]+)=", command)) for command in commands]


def largest_number_of_pods(folder: str) -> int:
    surge = read("base/deployment.yaml")["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
    return int(read(f"{folder}/autoscaler.yaml")["spec"]["maxReplicas"]) + int(surge)


@pytest.mark.parametrize("name", ["deployment", "worker", "migration"])
def test_pods_have_no_rights(name: str) -> None:
    pod = pod_of(name)
    (container,) = pod["containers"]

    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    user = str(pod["securityContext"]["runAsUser"])
    assert f"USER {user}:{user}" in (PROJECT / "Dockerfile").read_text(encoding="utf-8")
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "memory" in container["resources"]["limits"]


def test_service_does_not_know_the_owner_of_the_tables() -> None:
    (mounted,) = pod_of("deployment")["volumes"]
    service, owner = secrets_of("external")

    assert mounted["secret"]["secretName"] == "api"
    assert pod_of("worker")["volumes"] == pod_of("deployment")["volumes"]
    assert "DATABASE_DIRECT_URL" in owner - service
    (mounted,) = pod_of("migration")["volumes"]
    names = [source["secret"]["name"] for source in mounted["projected"]["sources"]]
    assert names == ["api", "migrate"]


@each_overlay
def test_pods_have_the_settings_that_are_required(overlay: str) -> None:
    required = {
        name.upper() for name, field in Settings.model_fields.items() if field.is_required()
    }
    service, *_ = secrets_of(overlay)
    settings = settings_of("base").keys() | settings_of(f"overlays/{overlay}").keys()

    assert required <= service | settings
    assert settings <= SETTINGS
    assert set().union(*secrets_of(overlay)) <= SETTINGS | {"API_POSTGRES_PASSWORD"}


def test_probes_ask_routes_of_the_service(app: FastAPI) -> None:
    (container,) = pod_of("deployment")["containers"]
    paths = {
        container[probe]["httpGet"]["path"]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe")
    }

    assert paths == {"/health/live", "/health/ready"}
    assert paths <= app.openapi()["paths"].keys()


@pytest.mark.parametrize("host", [None, "::"])  # the latter in a cluster with IPv6 alone
def test_variable_says_where_the_image_listens(
    monkeypatch: pytest.MonkeyPatch, host: str | None
) -> None:
    dockerfile = (PROJECT / "Dockerfile").read_text(encoding="utf-8")
    (default,) = re.findall(r"(?m)^ENV UVICORN_HOST=(.+)$", dockerfile)
    (command,) = re.findall(r"(?m)^CMD .*exec uvicorn (.+)\"\]$", dockerfile)
    given: dict[str, Any] = {}
    module = sys.modules[uvicorn.run.__module__]  # `uvicorn.main` is the command
    monkeypatch.setattr(module, "run", lambda _app, **options: given.update(options))

    arguments = command.replace("${WEB_CONCURRENCY:-1}", "1").split()
    result = CliRunner().invoke(uvicorn.main, arguments, env={"UVICORN_HOST": host or default})

    assert result.exit_code == 0, result.output
    assert given["host"] == (host or "0.0.0.0")  # noqa: S104 (in a container)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        pytest.param(
            "::1", marks=pytest.mark.skipif(not has_ipv6(), reason="the machine has no IPv6")
        ),
    ],
)
@pytest.mark.parametrize("file", ["Dockerfile", "compose.yaml"])
def test_health_check_finds_the_service_at_either_address(
    monkeypatch: pytest.MonkeyPatch, file: str, host: str
) -> None:
    text = (PROJECT / file).read_text(encoding="utf-8")
    (code,) = {found for found in re.findall(r'"python", "-c", "(.+?)"', text) if "8000" in found}
    look_up = socket.getaddrinfo

    def of_a_container(name: str, *rest: Any) -> list[Any]:
        """A container's /etc/hosts has both addresses. That of this machine may not."""
        names = ("::1", "127.0.0.1") if name == "localhost" else (name,)
        return [found for one in names for found in look_up(one, *rest)]

    class Server(HTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path.startswith("/health/") else 404)
            self.end_headers()

    monkeypatch.setattr(socket, "getaddrinfo", of_a_container)
    with Server((host, 0), Handler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        with pytest.raises(SystemExit) as ended:
            exec(code.replace("8000", str(server.server_port)), {})  # noqa: S102 (ours)
    assert not ended.value.code


def test_worker_is_asked_where_it_responds(settings: Settings) -> None:
    (container,) = pod_of("worker")["containers"]
    (port,) = container["ports"]
    probes = [value["httpGet"] for name, value in container.items() if name.endswith("Probe")]
    routes = {getattr(route, "path", None) for route in create_worker(settings).routes}

    assert container["command"][-1] == str(port["containerPort"])
    assert {probe["port"] for probe in probes} == {port["name"]}
    assert {probe["path"] for probe in probes} <= routes


def test_worker_behind_a_pooler_has_an_address_of_postgresql() -> None:
    settings = settings_of("overlays/cloudnative-pg")

    assert settings["DATABASE_POOLER"] == "true"
    assert settings["WORKER_DATABASE_URL"].rpartition("/")[0].endswith("@db-rw:5432")


def test_pod_that_drains_is_noticed_in_time() -> None:
    (container,) = pod_of("deployment")["containers"]
    drain = int(settings_of("base")["DRAIN_SECONDS"])
    probe = container["readinessProbe"]

    assert probe["periodSeconds"] * probe["failureThreshold"] < drain


def test_connections_of_all_pods_fit_into_one_server() -> None:
    """Of the pods of a roll-out, too, with the one connection of each readiness check.

    A worker has three connections for its queue, and reads nothing by searching.
    """
    settings = settings_of("base")
    pools = ("DATABASE_POOL_SIZE", "DATABASE_READ_POOL_SIZE", "DATABASE_SEARCH_POOL_SIZE")
    per_pod = sum(int(settings[name]) for name in pools) + 1

    worker = read("base/worker.yaml")["spec"]
    per_worker = 3 + sum(int(settings[name]) for name in pools[:2])

    assert worker["strategy"]["rollingUpdate"]["maxSurge"] == 0
    assert largest_number_of_pods("base") * per_pod + worker["replicas"] * per_worker <= CONNECTIONS


def test_connections_of_all_pods_fit_into_the_pooler_and_the_replica() -> None:
    overlay = "overlays/cloudnative-pg"
    settings = settings_of("base")
    reading = int(settings["DATABASE_READ_POOL_SIZE"]) + int(settings["DATABASE_SEARCH_POOL_SIZE"])
    per_pod = int(settings["DATABASE_POOL_SIZE"]) + reading + 1
    pods = largest_number_of_pods(overlay)
    pooler = read(f"{overlay}/pooler.yaml")["spec"]
    parameters = pooler["pgbouncer"]["parameters"]
    accepted = int(
        read(f"{overlay}/cluster.yaml")["spec"]["postgresql"]["parameters"]["max_connections"]
    )
    spare = 20  # for the operator, replication, migrations and superusers

    assert pods * per_pod <= int(parameters["max_client_conn"])  # even of one pooler
    assert pooler["instances"] * int(parameters["default_pool_size"]) <= accepted - spare
    assert pods * reading <= accepted - spare  # on the replica
