"""Every endpoint responds, costs and admits what the tests of its resource state in `ENDPOINTS`."""

import pytest
from fastapi import FastAPI

from app.core.database import Database
from tests.callers import (
    CALLERS,
    Arrange,
    expected_statuses,
    measured_as,
    statements_to_identify,
)
from tests.endpoint_proposals import propose
from tests.endpoints import (
    Endpoint,
    identifies_caller,
    recorded_statements,
    routes,
    stated_endpoints,
)

STATED = stated_endpoints()


async def test_every_endpoint_is_stated(
    app: FastAPI, arrange_live: Arrange, live_database: Database
) -> None:
    missing = routes(app).keys() - {endpoint.name for endpoint in STATED}

    proposals = [await propose(app, name, arrange_live, live_database) for name in sorted(missing)]
    assert not proposals, "State them beside the tests of the resource:\n" + "\n".join(proposals)


@pytest.mark.parametrize("endpoint", STATED, ids=str)
async def test_endpoint_runs_no_more_statements_than_it_needs(
    app: FastAPI, arrange_live: Arrange, live_database: Database, endpoint: Endpoint
) -> None:
    assert endpoint.name in routes(app), "there is no such endpoint"
    caller = measured_as(endpoint)
    send = await arrange_live(endpoint, caller)

    with recorded_statements(live_database) as statements:
        response = await send()

    assert response.status_code == endpoint.status, response.text
    expected = endpoint.statements
    if identifies_caller(routes(app)[endpoint.name]):
        expected += statements_to_identify(caller)
    assert len(statements) == expected, "\n".join(statements)


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("endpoint", STATED, ids=str)
async def test_endpoint_admits_those_who_may_call_it(
    arrange: Arrange, endpoint: Endpoint, caller: str
) -> None:
    response = await (await arrange(endpoint, caller))()

    assert response.status_code == expected_statuses(endpoint)[CALLERS.index(caller)], response.text
