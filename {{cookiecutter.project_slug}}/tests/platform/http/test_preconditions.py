"""ETag, If-Match and If-None-Match."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI

from app.core.config import Settings
from app.core.http.conditional_requests import parse_if_match
from app.models.base import etag_of
from tests.factories import Factory
from tests.platform.probe import make_probe

CHANGE = {"name": "Other"}


@pytest.fixture
async def path(make: Factory) -> str:
    return f"/probes/{(await make_probe(make)).id}"


async def test_etag_changes_with_the_resource_and_only_then(
    probes: httpx.AsyncClient, path: str
) -> None:
    first = await probes.get(path)
    unchanged = await probes.patch(path, json={})
    changed = await probes.patch(path, json=CHANGE)
    last = await probes.get(path)

    assert unchanged.headers["etag"] == first.headers["etag"]
    assert changed.headers["etag"] != first.headers["etag"]
    assert last.headers["etag"] == changed.headers["etag"]


async def test_created_resource_has_the_etag_that_reading_it_gives(
    probes: httpx.AsyncClient, make: Factory
) -> None:
    owner = await make.user()
    created = await probes.post("/probes", json={"owner_id": owner.id, "name": "Name"})

    read = await probes.get(created.headers["location"])

    assert created.headers["etag"] == read.headers["etag"]


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
@pytest.mark.parametrize(
    ("if_match", "passes"),
    [
        ("{etag}", True),
        ("*", True),
        ('"0", {etag}', True),
        ('"1-12"', True),  # with what a response shows beside the row
        ('"0-1"', False),
        ('"0"', False),
        ("W/{etag}", False),
        ('"x"', False),
        ("", False),
        ('"99999999999999999999"', False),
        (f'"{"9" * 5000}"', False),
    ],
)
async def test_change_of_another_version_is_refused(
    probes: httpx.AsyncClient, path: str, method: str, if_match: str, passes: bool
) -> None:
    etag = (await probes.get(path)).headers["etag"]
    body = CHANGE if method == "PATCH" else None

    response = await probes.request(
        method, path, json=body, headers={"If-Match": if_match.format(etag=etag)}
    )

    if passes:
        assert response.status_code in {200, 204}
    else:
        assert response.status_code == 412
        assert response.json()["code"] == "PRECONDITION_FAILED"
        assert response.headers["etag"] == etag
        assert (await probes.get(path)).headers["etag"] == etag


async def test_tags_may_be_in_several_lines(probes: httpx.AsyncClient, path: str) -> None:
    etag = (await probes.get(path)).headers["etag"]

    def lines(name: str) -> list[tuple[str, str]]:
        return [(name, '"0"'), (name, etag)]

    read = await probes.get(path, headers=lines("If-None-Match"))
    changed = await probes.patch(path, json=CHANGE, headers=lines("If-Match"))

    assert (read.status_code, changed.status_code) == (304, 200)


@pytest.mark.parametrize(
    ("if_none_match", "status"),
    [("{etag}", 304), ("W/{etag}", 304), ('"0", {etag}', 304), ("*", 304), ('"0"', 200)],
)
async def test_reader_that_is_up_to_date_gets_no_body(
    probes: httpx.AsyncClient, path: str, if_none_match: str, status: int
) -> None:
    etag = (await probes.get(path)).headers["etag"]

    response = await probes.get(path, headers={"If-None-Match": if_none_match.format(etag=etag)})

    assert response.status_code == status
    assert response.headers["etag"] == etag
    assert bool(response.content) == (status == 200)


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_precondition_can_be_demanded(
    settings: Settings, probes: httpx.AsyncClient, probe_app: FastAPI, path: str, method: str
) -> None:
    probe_app.state.settings = settings.model_copy(update={"require_if_match": True})
    try:
        response = await probes.request(method, path, json={} if method == "PATCH" else None)
    finally:
        probe_app.state.settings = settings

    assert response.status_code == 428
    assert response.json()["code"] == "PRECONDITION_REQUIRED"


async def test_of_many_writers_with_one_etag_one_wins(
    live_probes: httpx.AsyncClient, make_live: Factory
) -> None:
    path = f"/probes/{(await make_probe(make_live)).id}"
    etag = (await live_probes.get(path)).headers["etag"]

    responses = await asyncio.gather(
        *(
            live_probes.patch(path, json={"name": f"Name {n}"}, headers={"If-Match": etag})
            for n in range(8)
        )
    )

    assert sorted(response.status_code for response in responses) == [200] + [412] * 7


async def test_writers_without_an_etag_wait_for_each_other(
    live_probes: httpx.AsyncClient, make_live: Factory
) -> None:
    path = f"/probes/{(await make_probe(make_live)).id}"

    responses = await asyncio.gather(
        *(live_probes.patch(path, json={"name": f"Name {n}"}) for n in range(8))
    )

    assert {response.status_code for response in responses} == {200}
    assert len({response.headers["etag"] for response in responses}) == 8


def test_etag_that_depends_on_ids_fits_into_if_match() -> None:
    version, other = 2**31 - 1, 2**53 - 1
    linked, unlinked = etag_of(version, other, [1, 2]), etag_of(version, other, [1])

    assert len({linked, unlinked, etag_of(version, None, [1, 2]), etag_of(1, other, [1, 2])}) == 4
    assert parse_if_match(f'"{linked}", "{unlinked}"') == frozenset({linked, unlinked})
