"""Changes of access by administrators."""

import asyncio
from datetime import timedelta
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
        "POST /auth/invitations", ADMIN, statements=2, status=202, json={"email": "x@example.com"}
    ),
    Endpoint("PATCH /users/{user_id}/access", ADMIN, statements=6, json={"role": "admin"}),
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


async def test_change_of_access_needs_the_matching_version(
    client: httpx.AsyncClient, ann: User
) -> None:
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


async def test_administrator_signs_another_out_everywhere(
    client: httpx.AsyncClient,
    open_client: Opener,
    ann: User,
    admin: User,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = await sign_in(open_client())

    response = await client.delete(f"/users/{ann.id}/sessions")

    assert response.status_code == 204
    assert not await is_signed_in(open_client(), signed_in(before))
    assert (await refresh(open_client(), before.json()["refresh_token"])).status_code == 401
    assert f"signed_out_everywhere user_id={ann.id} actor_id={admin.id}" in caplog.messages
    assert (await sign_in(open_client())).status_code == 200


async def test_sessions_of_an_unknown_user_are_not_found(client: httpx.AsyncClient) -> None:
    assert (await client.delete(f"/users/{2**40}/sessions")).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "change"),
    [
        ("PATCH", "/users/{id}/access", {"role": "admin"}, "given the role admin to"),
        ("PATCH", "/users/{id}/access", {"is_active": False}, "deactivated"),
        ("PATCH", "/users/{id}", {"email": "new@example.com"}, "changed the e-mail address of"),
        ("DELETE", "/users/{id}", None, "deleted"),
    ],
)
async def test_administrators_are_told_what_one_of_them_has_done(
    client: httpx.AsyncClient,
    make: Factory,
    ann: User,
    admin: User,
    mailbox: Mailbox,
    method: str,
    path: str,
    body: dict[str, Any] | None,
    change: str,
) -> None:
    other = await make.user(role="admin")
    await make.user(role="admin", is_active=False)
    url = path.format(id=ann.id)
    failed = await client.request(method, url, json=body, headers={"If-Match": '"99"'})
    assert (failed.status_code, mailbox.mails) == (412, [])

    response = await client.request(method, url, json=body)

    assert response.status_code in {200, 204}
    mails = [mail for mail in mailbox.mails if "an administrator has changed" in mail.subject]
    assert {mail.to for mail in mails} == {admin.email, other.email}
    for mail in mails:
        assert f"Administrator {admin.id} has {change} user {ann.id}." in mail.text


async def test_administrators_are_not_told_what_users_do_to_their_own_account(
    open_client: Opener, ann: User, make: Factory, settings: Settings, mailbox: Mailbox
) -> None:
    await make.user(role="admin")
    headers = await bearer(make, ann, settings)

    await open_client().patch("/users/me", json={"display_name": "Anna"}, headers=headers)
    response = await open_client().delete(f"/users/{ann.id}", headers=headers)

    assert (response.status_code, mailbox.mails) == (204, [])


@pytest.mark.parametrize(("minutes", "status"), [(1, 401), (10, 204)])
async def test_age_of_a_sign_in_that_counts_as_fresh_is_a_setting(
    open_client: Opener, ann: User, make: Factory, settings: Settings, minutes: int, status: int
) -> None:
    headers = await bearer(make, ann, settings, timedelta(minutes=5))

    response = await open_client(fresh_sign_in_minutes=minutes).delete(
        f"/users/{ann.id}", headers=headers
    )

    assert response.status_code == status
    if status == 401:
        assert response.headers["www-authenticate"].endswith(f"max_age={minutes * 60}")


async def test_age_of_a_sign_in_tells_others_nothing_of_an_address(
    open_client: Opener, ann: User, make: Factory, settings: Settings
) -> None:
    eve = await make.user()
    statuses = [
        (
            await open_client().patch(
                f"/users/{ann.id}",
                json={"email": address},
                headers=await bearer(make, eve, settings, timedelta(hours=hours)),
            )
        ).status_code
        for hours in (0, 1)
        for address in (EMAIL, "new@example.com")
    ]

    assert statuses == [403] * 4
