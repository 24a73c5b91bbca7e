"""Changes of access by administrators."""

import asyncio
from typing import Any

import httpx
import pytest

from app.core.config import Settings
from app.models.user import User
from tests.auth.accounts import (
    EMAIL,
    Mailbox,
    Opener,
    bearer,
    is_signed_in,
    refresh,
    sign_in,
    signed_in,
)
from tests.endpoints import ADMIN, Endpoint
from tests.factories import Factory

ENDPOINTS = [
    Endpoint(
        "POST /auth/invitations", ADMIN, statements=1, status=202, json={"email": "x@example.com"}
    ),
    Endpoint("PATCH /users/{user_id}/access", ADMIN, statements=5, json={"role": "admin"}),
    Endpoint("DELETE /users/{user_id}/sessions", ADMIN, statements=4, status=204),
]


@pytest.mark.parametrize("change", [{"role": "admin"}, {"is_active": False}])
async def test_change_of_access_ends_every_token_at_once(
    client: httpx.AsyncClient,
    open_client: Opener,
    ann: User,
    caplog: pytest.LogCaptureFixture,
    change: dict[str, Any],
) -> None:
    before = await sign_in(open_client())

    response = await client.patch(f"/users/{ann.id}/access", json=change)

    assert response.status_code == 200
    assert response.json() | change == response.json()
    assert not await is_signed_in(open_client(), signed_in(before))
    assert (await refresh(open_client(), before.json()["refresh_token"])).status_code == 401
    event = "role_changed" if "role" in change else "deactivated"
    assert f"{event} user_id={ann.id} actor_id=" in caplog.text


async def test_deactivated_user_signs_in_again_only_when_reactivated(
    client: httpx.AsyncClient, open_client: Opener, ann: User, mailbox: Mailbox
) -> None:
    await open_client().post("/auth/password-reset", json={"email": EMAIL})
    await client.patch(f"/users/{ann.id}/access", json={"is_active": False})
    body = {"token": mailbox.token(), "new_password": "staple in the meadow"}
    reset = await open_client().post("/auth/password-reset/confirm", json=body)
    during = await sign_in(open_client())

    await client.patch(f"/users/{ann.id}/access", json={"is_active": True})

    assert (reset.status_code, during.status_code) == (403, 401)
    assert (await sign_in(open_client())).status_code == 200


@pytest.mark.usefixtures("ann")
async def test_change_that_changes_nothing_ends_nothing(
    client: httpx.AsyncClient, open_client: Opener, ann: User
) -> None:
    before = await sign_in(open_client())

    response = await client.patch(
        f"/users/{ann.id}/access", json={"role": "user", "is_active": True}
    )

    assert response.status_code == 200
    assert await is_signed_in(open_client(), signed_in(before))


async def test_change_of_access_heeds_if_match(client: httpx.AsyncClient, ann: User) -> None:
    path = f"/users/{ann.id}/access"
    headers = {"If-Match": '"7"'}

    stale = await client.patch(path, json={"role": "admin"}, headers=headers)

    assert stale.status_code == 412


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/users/{id}/access", {"role": "user"}),
        ("PATCH", "/users/{id}/access", {"is_active": False}),
        ("DELETE", "/users/{id}", None),
    ],
)
async def test_last_active_administrator_has_to_stay_one(
    client: httpx.AsyncClient,
    make: Factory,
    admin: User,
    settings: Settings,
    method: str,
    path: str,
    body: Any,
) -> None:
    await make.user(role="admin", is_active=False)
    await make.user()
    refused = await client.request(method, path.format(id=admin.id), json=body)
    other = await make.user(role="admin")
    allowed = await client.request(
        method, path.format(id=admin.id), json=body, headers=await bearer(make, other, settings)
    )

    assert refused.status_code == 409
    assert allowed.is_success


async def test_two_administrators_cannot_demote_one_another_at_once(
    live_client: httpx.AsyncClient, make_live: Factory, settings: Settings
) -> None:
    me = (await live_client.get("/users/me")).json()["id"]
    other = await make_live.user(role="admin")

    responses = await asyncio.gather(
        live_client.patch(f"/users/{other.id}/access", json={"role": "user"}),
        live_client.patch(
            f"/users/{me}/access",
            json={"role": "user"},
            headers=await bearer(make_live, other, settings),
        ),
    )

    done, refused = sorted(response.status_code for response in responses)
    assert done == 200
    assert refused in {401, 403}  # the other one has just lost the role
    admins = await live_client.get("/users?role=admin")
    survivor = admins if admins.status_code == 200 else responses[1]
    assert survivor.status_code == 200


async def test_users_are_found_by_text_role_and_state(
    client: httpx.AsyncClient, make: Factory
) -> None:
    await make.user(email="zoe_1@example.com", display_name="Zo\u00eb", role="admin")
    await make.user(email="zoe21@example.com", display_name="Other", is_active=False)

    async def found(query: str) -> list[str]:
        response = await client.get(f"/users?{query}")
        return [user["email"] for user in response.json()["items"]]

    assert await found("q=ZOE") == ["zoe_1@example.com", "zoe21@example.com"]
    assert await found("q=zoe_") == ["zoe_1@example.com"]  # no wildcard
    assert await found("q=ther") == ["zoe21@example.com"]
    assert await found("q=zoe&role=admin") == ["zoe_1@example.com"]
    assert await found("q=zoe&is_active=false") == ["zoe21@example.com"]
    assert await found("q=zoe&is_active=true&role=user") == []


async def test_filters_hold_on_every_page(client: httpx.AsyncClient, make: Factory) -> None:
    expected = [(await make.user(display_name=f"Zed {number % 2}")).id for number in range(6)][::2]
    seen: list[int] = []
    url: str | None = "/users?q=zed 0&limit=2"
    while url:
        response = await client.get(url)
        seen += [user["id"] for user in response.json()["items"]]
        url = response.links["next"]["url"] if "next" in response.links else None

    assert seen == expected
