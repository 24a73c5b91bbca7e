import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from baking import bake, run_uv

from faults.caller import Caller, calling, create_author, sign_up
from faults.postgres_process import PostgresProcess, running, wait_until
from faults.sabotage import install_sabotage
from faults.service_process import Service, ServiceProcess, serving

DRIVERS = ("asyncpg", pytest.param("psycopg", marks=pytest.mark.slow))
POOL_SIZE = 10  # the service's defaults: so many connections to write, and as many to read
SECRET_KEY = "signs-nothing-of-worth-0123456789-abcdefghijklm"  # noqa: S105 (signs nothing of worth)


# With auth every request reads its user first. Only what is not timed runs by default.
in_every_variant = pytest.mark.parametrize(
    "use_auth",
    [pytest.param(False, id="noauth"), pytest.param(True, id="auth", marks=pytest.mark.faults)],
    indirect=True,
    scope="session",
)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(
    scope="session",
    params=DRIVERS,
)
def driver(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def use_auth(request: pytest.FixtureRequest) -> bool:
    """Say whether the project has auth. Modules ask for it by `in_every_variant`."""
    return bool(getattr(request, "param", False))


@pytest.fixture(scope="session")
def project(driver: str, use_auth: bool, template: Path, workspace: Path) -> Path:
    """Return a baked project with what it needs in production."""
    output_dir = Path(tempfile.mkdtemp(prefix="faults-", dir=workspace))
    path = bake(template, output_dir, db_driver=driver, use_auth=use_auth)
    run_uv(path, "sync", "--no-dev", "--compile-bytecode", "--quiet")
    return path


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresProcess]:
    with running() as server:
        yield server


def service_of(project: Path, url: str) -> Service:
    limits = dict.fromkeys(("MAILS_PER_ADDRESS", "PASSWORD_TRIES_PER_ADDRESS"), "1000000")
    # The full ledger may take longer than the 15 minutes that are the default.
    limits |= {"ACCESS_TOKEN_MINUTES": "60"}
    # Every fourth write of the ledger hashes a password, which is not what the faults are about.
    limits |= {"ARGON2_TIME_COST": "1", "ARGON2_MEMORY_KIB": "8", "ARGON2_PARALLELISM": "1"}
    return Service(
        project, {"DATABASE_URL": url, "SECRET_KEY": SECRET_KEY, "DEVELOPMENT": "true"} | limits
    )


@pytest.fixture(scope="session")
def schema(project: Path, postgres: PostgresProcess) -> Iterator[str]:
    """Return the name of a migrated database, of which each module and test gets a copy."""
    with postgres.database("schema") as url:
        service_of(project, url).run("app", "migrate")
        install_sabotage(postgres, "schema")
        yield "schema"


@pytest.fixture(scope="module")
def service(project: Path, postgres: PostgresProcess, schema: str) -> Iterator[Service]:
    """Return a service with a database of its own, named `service`."""
    with postgres.database("service", schema) as url:
        yield service_of(project, url)


@pytest.fixture(scope="module")
def lasting_process(
    service: Service, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServiceProcess]:
    with serving(service, tmp_path_factory.mktemp("service") / "log") as process:
        yield process


@pytest.fixture
async def process(
    lasting_process: ServiceProcess, postgres: PostgresProcess
) -> AsyncIterator[ServiceProcess]:
    """Return the process that serves all tests of a module: recovery needs no restart of it."""
    seen = len(lasting_process.complaints())
    yield lasting_process
    assert lasting_process.complaints()[seen:] == []
    # In a thread, because a proxy of the test still passes on what background tasks read.
    await asyncio.to_thread(
        wait_until,
        lambda: not postgres.sessions("state <> 'idle'"),
        "every connection is back in the pool",
        found=postgres.activity,
    )
    kept = 2 * POOL_SIZE + 1  # of the readiness check
    await asyncio.to_thread(
        wait_until, lambda: len(postgres.sessions()) <= kept, "no more than these are kept"
    )


@pytest.fixture
async def caller(process: ServiceProcess) -> AsyncIterator[Caller]:
    async with calling(process.url) as caller:
        yield caller


@pytest.fixture
async def author_id(caller: Caller, use_auth: bool) -> int:
    """Create the author of a test's posts, as whom the caller is signed in where there is auth."""
    return await (sign_up(caller) if use_auth else create_author(caller))
