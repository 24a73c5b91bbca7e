<%
    # Without links to others of its kind, which lists would have, too.
    made = r.required + tuple(one for one in r.links if not one.is_self)
    links = len(r.links)
    # Another of its kind would have the same owner, who may have one only.
    linked = [one for one in r.links if not (one.is_self and r.owner and r.owner.is_unique)]
    access = "OWNER" if r.owner else "ADMIN"
    def new_row(one):
        return "make.user()" if one.target_name == "user" else f"make_{one.target_name}(make)"
%>\
import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from ${r.module} import ${r.class_name}
from app.models.user import User
from tests.endpoints import ADMIN, OPEN, OWNER, Endpoint
from tests.factories import Factory
% for module, name in r.factories:
from ${module} import make_${name}
% endfor
from tests.${r.singular}_factory import make_${r.singular}

% if r.owner:
PATH_PARAMETERS = {"${r.singular}_id": make_${r.singular}}
% else:


async def make_unowned(make: Factory, _owner: User) -> ${r.class_name}:
    return await make_${r.singular}(make)


PATH_PARAMETERS = {"${r.singular}_id": make_unowned}
% endif

VALUES: dict[str, Any] = {
% for one in r.values:
    "${one.name}": ${one.sent},
% endfor
}
NEW_${r.singular.upper()} = VALUES | {
% for one in r.references:
    "${one.column}": ${"None" if one.is_self else f'"{{{one.target_name}_id}}"'},
% endfor
% for link in linked:
    "${link.column}": ["{${link.target_name}_id}"],
% endfor
}

ENDPOINTS = [
% if linked:
    # Links take two statements: one writes them, and one reads what they lead to.
% endif
    Endpoint("POST ${r.path}", ${access}, statements=${1 + 2 * len(linked)}, status=201, json=NEW_${r.singular.upper()}),
% if links:
    # An empty page: rows take ${"another one" if links == 1 else f"{links} more"}, for what they link to.
% endif
    Endpoint("GET ${r.path}", OPEN, statements=1),
    Endpoint("GET ${r.path}/{${r.singular}_id}", OPEN, statements=${1 + links}),
    Endpoint("PATCH ${r.path}/{${r.singular}_id}", ${access}, statements=${r.patch[1]}, json=${r.patch[0]}),
    Endpoint("DELETE ${r.path}/{${r.singular}_id}", ${access}, statements=${2 + links}, status=204),
]


async def new_${r.singular}(make: Factory) -> dict[str, Any]:
    """Return a POST body."""
% if made:
    return VALUES | {
% for one in made:
        "${one.column}": ${f"[(await {new_row(one)}).id]" if one.is_many else f"(await {new_row(one)}).id"},
% endfor
    }
% else:
    return dict(VALUES)
% endif


async def test_created_${r.singular}_is_returned_with_its_location(
    client: httpx.AsyncClient, make: Factory
) -> None:
    body = await new_${r.singular}(make)

    response = await client.post("${r.path}", json=body)

    assert response.status_code == 201, response.text
    ${r.singular} = response.json()
    assert ${r.singular} == ${r.singular} | body
    assert response.headers["location"] == f"${r.path}/{${r.singular}['id']}"
    read = await client.get(response.headers["location"])
    assert (read.json(), read.headers["etag"]) == (${r.singular}, response.headers["etag"])


% if r.values:
@pytest.mark.parametrize(
    ("field", "value"),
    [
% for one in r.values:
        ("${one.name}", ${one.refused}),
% endfor
    ],
)
async def test_wrong_value_is_refused_with_its_field(
    client: httpx.AsyncClient, make: Factory, field: str, value: object
) -> None:
    response = await client.post("${r.path}", json=await new_${r.singular}(make) | {field: value})

    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"][:2] == ["body", field]


@pytest.mark.parametrize(
    ("field", "value"),
    [
% for one in r.values:
        ("${one.name}", ${one.other}),
% endfor
    ],
)
async def test_patch_changes_only_what_it_names(
    client: httpx.AsyncClient, make: Factory, field: str, value: object
) -> None:
    ${r.singular} = (await client.post("${r.path}", json=await new_${r.singular}(make))).json()

    response = await client.patch(f"${r.path}/{${r.singular}['id']}", json={field: value})

    assert response.status_code == 200, response.text
    assert response.json() == ${r.singular} | {field: value, "updated_at": response.json()["updated_at"]}


% endif
<% optional = [one for one in r.changeable if one.is_optional] %>\
% if optional:
@pytest.mark.parametrize("field", [${", ".join(f'"{one.column}"' for one in optional)}])
async def test_null_takes_an_optional_value_away(
    client: httpx.AsyncClient, make: Factory, field: str
) -> None:
    ${r.singular} = (await client.post("${r.path}", json=await new_${r.singular}(make))).json()

    response = await client.patch(f"${r.path}/{${r.singular}['id']}", json={field: None})

    assert (response.status_code, response.json()[field]) == (200, None)


% endif
<% unique = [one for one in r.values if one.is_unique] %>\
% if unique:
@pytest.mark.parametrize("field", [${", ".join(f'"{one.column}"' for one in unique)}])
async def test_value_that_is_taken_is_a_conflict(
    client: httpx.AsyncClient, make: Factory, field: str
) -> None:
    await client.post("${r.path}", json=await new_${r.singular}(make))
    other = await make_${r.singular}(make)

    response = await client.patch(f"${r.path}/{other.id}", json={field: VALUES[field]})

    assert response.status_code == 409
    assert "is taken" in response.json()["detail"]


% endif
<% unknown = r.references + r.links %>\
% if unknown:
@pytest.mark.parametrize(
    ("field", "value"),
    [
% for one in unknown:
        ("${one.column}", ${"[2**40]" if one.is_many else "2**40"}),
% endfor
    ],
)
async def test_reference_to_an_unknown_row_is_not_found(
    client: httpx.AsyncClient, make: Factory, field: str, value: object
) -> None:
    response = await client.post("${r.path}", json=await new_${r.singular}(make) | {field: value})

    assert response.status_code == 404
    assert response.json()["detail"].endswith(f"{2**40} not found")


% endif
% for link in r.links:
async def test_patch_replaces_the_${link.name}(client: httpx.AsyncClient, make: Factory) -> None:
    created = await client.post("${r.path}", json=await new_${r.singular}(make))
    url, etag = created.headers["location"], created.headers["etag"]
    ids = [(await ${new_row(link)}).id for _ in range(2)]

    response = await client.patch(url, json={"${link.column}": [*ids, ids[0]]})

    assert (response.status_code, response.json()["${link.column}"]) == (200, ids)
    assert response.headers["etag"] != etag
    found = [(await client.get(f"${r.path}?${link.singular}_id={one}")).json()["items"] for one in ids]
    assert found == [[response.json()]] * 2
    emptied = await client.patch(url, json={"${link.column}": []})
    assert emptied.json()["${link.column}"] == []
    assert (await client.get(f"${r.path}?${link.singular}_id={ids[0]}")).json()["items"] == []


% if link.is_self:
async def test_${r.singular}_may_be_among_its_own_${link.name}(client: httpx.AsyncClient, make: Factory) -> None:
    created = await client.post("${r.path}", json=await new_${r.singular}(make))
    url, ids = created.headers["location"], [created.json()["id"]]

    linked = await client.patch(url, json={"${link.column}": ids})

    assert (linked.status_code, linked.json()["${link.column}"]) == (200, ids)
    assert (await client.patch(url, json={})).json() == linked.json()
    assert (await client.get(url)).json() == linked.json()
    assert (await client.get("${r.path}")).json()["items"] == [linked.json()]
    assert (await client.delete(url)).status_code == 204


async def test_${link.name}_may_link_to_each_other_at_the_same_time(
    live_client: httpx.AsyncClient, make_live: Factory
) -> None:
    for _ in range(3):
        ids = [(await make_${r.singular}(make_live)).id for _ in range(2)]

        responses = await asyncio.gather(
            *(
                live_client.patch(f"${r.path}/{one}", json={"${link.column}": [other]})
                for one, other in (ids, reversed(ids))
            )
        )

        assert [response.status_code for response in responses] == [200, 200]


% endif
% endfor
% for one in r.references:
% if one.is_deletable and one.ondelete == "CASCADE":
async def test_${r.singular}_is_gone_with_its_${one.name}(
    client: httpx.AsyncClient, make: Factory, session: AsyncSession
) -> None:
    ${r.singular} = await make_${r.singular}(make${f", {one.column}=(await {new_row(one)}).id" if one.is_optional else ""})

    await client.delete(f"${one.target_path}/{${r.singular}.${one.column}}")

    assert await session.get(${r.class_name}, ${r.singular}.id) is None


% elif one.is_deletable and one.ondelete == "SET NULL":
async def test_${r.singular}_stays_without_its_${one.name}(
    client: httpx.AsyncClient, make: Factory
) -> None:
    ${r.singular} = await make_${r.singular}(make, ${one.column}=(await ${new_row(one)}).id)

    await client.delete(f"${one.target_path}/{${r.singular}.${one.column}}")

    assert (await client.get(f"${r.path}/{${r.singular}.id}")).json()["${one.column}"] is None


% elif one.is_deletable and one.ondelete == "RESTRICT":
async def test_${one.name}_of_${r.singular}_cannot_be_deleted(
    client: httpx.AsyncClient, make: Factory
) -> None:
    ${r.singular} = await make_${r.singular}(make${f", {one.column}=(await {new_row(one)}).id" if one.is_optional else ""})

    response = await client.delete(f"${one.target_path}/{${r.singular}.${one.column}}")

    assert response.status_code == 409
    assert response.json()["detail"].endswith("still has ${r.humans}")


% endif
% endfor
% for one in r.unversioned:
% if one.is_deletable or one.is_self:
async def test_etag_changes_with_a_deleted_row_of_${one.name}(client: httpx.AsyncClient, make: Factory) -> None:
    other = await ${new_row(one)}
    body = await new_${r.singular}(make) | {"${one.column}": ${"[other.id]" if one.is_many else "other.id"}}
    created = await client.post("${r.path}", json=body)
    url, etag = created.headers["location"], created.headers["etag"]
    same = await client.get(url, headers={"If-None-Match": etag})

    await client.delete(f"${one.target_path}/{other.id}")

    changed = await client.get(url, headers={"If-None-Match": etag})
    assert (same.status_code, changed.status_code) == (304, 200)
    for held, status in ((etag, 412), (changed.headers["etag"], 200)):
        response = await client.patch(url, json={}, headers={"If-Match": held})
        assert (response.status_code, response.headers["etag"]) == (status, changed.headers["etag"])


% endif
% endfor
async def test_deleted_${r.singular}_is_gone(
    client: httpx.AsyncClient, make: Factory, session: AsyncSession
) -> None:
    ${r.singular} = await make_${r.singular}(make)

    response = await client.delete(f"${r.path}/{${r.singular}.id}")

    assert (response.status_code, response.content) == (204, b"")
    assert await session.get(${r.class_name}, ${r.singular}.id) is None


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
async def test_unknown_${r.singular}_is_not_found(client: httpx.AsyncClient, method: str) -> None:
    response = await client.request(
        method, f"${r.path}/{2**40}", json={} if method == "PATCH" else None
    )

    assert response.status_code == 404
    assert response.json()["detail"] == f"${r.human.capitalize()} {2**40} not found"


@pytest.mark.parametrize(
    "sort", ["created_at", "-created_at"${"".join(f', "{one.name}", "-{one.name}"' for one in r.sorted_by)}]
)
async def test_pages_hold_every_${r.singular}_once_in_order(
    client: httpx.AsyncClient, make: Factory, sort: str
) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    ${r.plural} = [
        await make_${r.singular}(make, created_at=start + timedelta(days=number % 2)) for number in range(5)
    ]
    column = sort.removeprefix("-")
    expected = sorted(
        ${r.plural},
        key=lambda ${r.singular}: (getattr(${r.singular}, column), ${r.singular}.id),
        reverse=sort.startswith("-"),
    )

    seen: list[int] = []
    url: str | None = f"${r.path}?sort={sort}&limit=2"
    while url:
        page = await client.get(url)
        seen += [item["id"] for item in page.json()["items"]]
        url = page.links["next"]["url"] if "next" in page.links else None

    assert seen == [${r.singular}.id for ${r.singular} in expected]


<% filters = [one for one in r.columns if one.is_filter and not one.is_self] %>\
% if filters:
@pytest.mark.parametrize(
    ("parameter", "field", "is_found"),
    [
% for one in filters:
% if one.is_range:
        ("${one.name}_from", "${one.name}", True),
        ("${one.name}_before", "${one.name}", False),
% else:
        ("${one.column}", "${one.column}", True),
% endif
% endfor
    ],
)
async def test_list_is_filtered(
    client: httpx.AsyncClient, make: Factory, parameter: str, field: str, is_found: bool
) -> None:
% if any(one.is_optional for one in filters):
    body = await new_${r.singular}(make)
% for one in filters:
% if one.target and one.is_optional:
    body["${one.column}"] = (await ${new_row(one)}).id
% endif
% endfor
    ${r.singular} = (await client.post("${r.path}", json=body)).json()
% else:
    ${r.singular} = (await client.post("${r.path}", json=await new_${r.singular}(make))).json()
% endif
    params = {parameter: ${r.singular}[field]}

    response = await client.get("${r.path}", params=params)

    assert response.status_code == 200, response.text
    assert response.json()["items"] == ([${r.singular}] if is_found else [])
% endif
