"""TLS as the URL asks for it, with a server whose certificate a private authority has issued."""

import os
from collections.abc import Generator
from pathlib import Path

import pytest
import trustme
from sqlalchemy import URL, text

from app.core.config import Settings, parse_database_url
from app.core.database.engines import make_engine
from app.exceptions import UnavailableError, explain
from tests.postgres import docker_runs

# As the server's entry point runs as root, it may hand the key to the user of the server.
START = (
    'umask 077; mkdir /tls; echo "$KEY" > /tls/key; echo "$CERTIFICATE" > /tls/certificate; '
    "chown -R postgres /tls; exec docker-entrypoint.sh postgres -c fsync=off "
    "-c ssl=on -c ssl_key_file=/tls/key -c ssl_cert_file=/tls/certificate"
)

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server(authority: trustme.CA) -> Generator[URL]:
    """A server in a container, because the embedded one is built without TLS."""
    if os.environ.get("TEST_POSTGRES") != "container" and not docker_runs():
        pytest.skip("Docker is not running")
    from testcontainers.community.postgres import PostgresContainer

    certificate = authority.issue_cert("localhost")
    pem = b"".join(blob.bytes() for blob in certificate.cert_chain_pems).decode()
    container = (
        PostgresContainer(os.environ.get("POSTGRES_IMAGE", "postgres:17"), driver=None)
        .with_env("KEY", certificate.private_key_pem.bytes().decode())
        .with_env("CERTIFICATE", pem)
        .with_command(["bash", "-c", START])
    )
    with container:
        yield parse_database_url(container.get_connection_url())


@pytest.fixture
def root_certificate(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


async def is_encrypted(url: URL, settings: Settings) -> bool:
    engine = make_engine(
        parse_database_url(url.set(drivername=settings.database_url.drivername)), settings
    )
    async with engine.connect() as connection:
        encrypted: bool = await connection.scalar(
            text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        )
    await engine.dispose()
    return encrypted


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"sslmode": "disable"}, False),
        ({"sslmode": "require"}, True),
        ({"ssl": "true"}, True),
        ({"sslmode": "require", "channel_binding": "require"}, True),
        ({"sslmode": "require", "ssl_min_protocol_version": "TLSv1.3"}, True),
    ],
)
async def test_mode_of_the_url_is_used(
    settings: Settings, server: URL, query: dict[str, str], expected: bool
) -> None:
    assert await is_encrypted(server.update_query_dict(query), settings) is expected


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
async def test_server_is_verified_by_the_given_authority(
    settings: Settings, server: URL, root_certificate: str, mode: str
) -> None:
    query = {"sslmode": mode, "sslrootcert": root_certificate}

    assert await is_encrypted(server.set(host="localhost").update_query_dict(query), settings)


async def test_server_with_another_name_is_refused(
    settings: Settings, server: URL, root_certificate: str
) -> None:
    query = {"sslmode": "verify-full", "sslrootcert": root_certificate}

    with pytest.raises(UnavailableError) as refused:
        await is_encrypted(server.set(host="127.0.0.1").update_query_dict(query), settings)

    assert "127.0.0.1" in explain(refused.value)


@pytest.mark.parametrize("other", ["system", "private"])
async def test_server_of_another_authority_is_refused(
    settings: Settings, server: URL, tmp_path: Path, other: str
) -> None:
    if other == "private":
        other = str(tmp_path / "other.pem")
        trustme.CA().cert_pem.write_to_path(other)
    query = {"sslmode": "verify-full", "sslrootcert": other}

    with pytest.raises(UnavailableError) as refused:
        await is_encrypted(server.set(host="localhost").update_query_dict(query), settings)

    assert "certificate" in explain(refused.value)
