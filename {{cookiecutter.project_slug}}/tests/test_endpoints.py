"""Every endpoint behaves as `ENDPOINTS` in the tests of its resource states."""

import httpx
import pytest
from fastapi import FastAPI

from app.core.database import Database
from app.core.http.edge import SEARCH_PARAMETER
from app.dependencies.caller import get_caller
from app.dependencies.if_match import get_if_match
from tests.callers import (
    CALLERS,
    expected_statuses,
    measured_as,
    statements_to_identify,
)
from tests.endpoint_proposals import propose
from tests.endpoints import (
    Arrange,
    Endpoint,
    depends_on,
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
    assert not proposals, "Add these to ENDPOINTS in the tests of the resource:\n" + "\n".join(
        proposals
    )


@pytest.mark.parametrize("endpoint", STATED, ids=str)
async def test_endpoint_runs_no_more_statements_than_it_needs(
    app: FastAPI, arrange_live: Arrange, live_database: Database, endpoint: Endpoint
) -> None:
    assert endpoint.name in routes(app), "ENDPOINTS names an endpoint that does not exist"
    caller = measured_as(endpoint)
    send = await arrange_live(endpoint, caller)

    with recorded_statements(live_database) as statements:
        response = await send()

    assert response.status_code == endpoint.status, response.text
    expected = endpoint.statements
    if depends_on(routes(app)[endpoint.name], get_caller):
        expected += statements_to_identify(caller)
    assert len(statements) == expected, "\n".join(statements)


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("endpoint", STATED, ids=str)
async def test_endpoint_admits_only_its_callers(
    arrange: Arrange, endpoint: Endpoint, caller: str
) -> None:
    response = await (await arrange(endpoint, caller))()

    assert response.status_code == expected_statuses(endpoint)[CALLERS.index(caller)], response.text


async def test_change_of_another_version_is_refused(app: FastAPI, arrange: Arrange) -> None:
    conditional = [one for one in STATED if depends_on(routes(app)[one.name], get_if_match)]
    for endpoint in conditional:
        response = await (await arrange(endpoint, measured_as(endpoint)))(**{"If-Match": '"0"'})

        assert response.status_code == 412, endpoint.name


async def test_text_that_no_index_finds_is_refused(app: FastAPI, client: httpx.AsyncClient) -> None:
    searched = [
        path
        for path, item in app.openapi()["paths"].items()
        for parameter in item.get("get", {}).get("parameters", ())
        if (parameter["in"], parameter["name"]) == ("query", SEARCH_PARAMETER)
    ]
    for path in searched:
        response = await client.get(path, params={SEARCH_PARAMETER: "ab"})

        assert response.status_code == 422, f"{path}: give the parameter the type SearchText"


async def test_reader_who_is_up_to_date_gets_no_body(app: FastAPI, arrange: Arrange) -> None:
    conditional = [one for one in STATED if 304 in routes(app)[one.name].responses]
    for endpoint in conditional:
        send = await arrange(endpoint, measured_as(endpoint))
        etag = (await send()).headers["etag"]

        assert (await send(**{"If-None-Match": etag})).status_code == 304, endpoint.name
