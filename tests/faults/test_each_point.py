"""A session terminated at each point of a request: at every round trip, before it and after it."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from uuid import uuid4

import pytest

from faults.caller import Caller, create_author, sign_up
from faults.conftest import in_every_variant
from faults.postgres_process import PostgresProcess, free_port
from faults.proxy import Proxy, proxying
from faults.service_process import Service, ServiceProcess, serving

pytestmark = in_every_variant


@pytest.fixture(scope="module")
def proxy_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def lasting_process(
    service: Service, proxy_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServiceProcess]:
    url = f"postgresql://app@127.0.0.1:{proxy_port}/service"
    log = tmp_path_factory.mktemp("service") / "log"
    environment = service.environment | {"DATABASE_URL": url}
    with serving(replace(service, environment=environment), log) as process:
        yield process


@pytest.fixture
async def proxy(postgres: PostgresProcess, proxy_port: int) -> AsyncIterator[Proxy]:
    async with proxying(postgres, proxy_port) as proxy:
        yield proxy


async def test_connection_terminated_at_each_point(
    proxy: Proxy, caller: Caller, use_auth: bool, postgres: PostgresProcess
) -> None:
    # Not by the fixture: there is no connection before there is a proxy.
    author_id = await (sign_up(caller) if use_auth else create_author(caller))
    body = {"author_id": author_id, "title": "", "body": "Body"}

    async def write(title: str) -> int:
        return (await caller.post("/posts", body | {"title": title}, key=title)).status

    assert await write("first") == 201
    proxy.terminate_at(None)
    assert await write("second") == 201
    points = proxy.sent
    assert points >= 5  # BEGIN, the key, the post, its job, the response, COMMIT

    ends = []
    for after in (False, True):
        for number in range(1, points + 1):
            assert await write(uuid4().hex) == 201  # fills the pool again
            title = uuid4().hex
            proxy.terminate_at(number, after=after)
            first = await write(title)
            proxy.terminate_at(None)
            again = await write(title)
            (rows,) = postgres.query(
                "SELECT count(*) FROM posts WHERE title = %s", title, database="service"
            )
            ends.append((number, after, first, again, rows))

    # The announcement is a job, which another process runs: no connection is used after the COMMIT.
    assert {end[2] for end in ends} == {503}
    assert [end for end in ends if end[3:] != (201, 1)] == []
    caller.check(200, 201, 503)
