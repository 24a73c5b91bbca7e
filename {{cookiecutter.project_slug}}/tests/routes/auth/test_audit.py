"""Audit events of what people do, beside those that the tests of the routes check."""

from typing import Any

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.models.user import User
from tests.auth.accounts import (
    EMAIL,
    Mailbox,
    Opener,
    bearer,
    new_user,
    sign_in,
    signed_in,
)
from tests.factories import Factory

ADDRESS = "192.0.2.7"


def events(caplog: pytest.LogCaptureFixture, *names: str) -> list[dict[str, Any]]:
    """Return the events of these names."""
    found = [vars(record).get("audit", {}) for record in caplog.records]
    return [event for event in found if event.get("event") in names]


@pytest.mark.parametrize("verified", [False, True])
async def test_registration(
    open_client: Opener,
    session: AsyncSession,
    mailbox: Mailbox,
    caplog: pytest.LogCaptureFixture,
    *,
    verified: bool,
) -> None:
    client = open_client(ADDRESS, require_verified_email=verified)
    for _ in range(2):
        await client.post("/users", json=new_user())

    user_id = await session.scalar(select(User.id).where(User.email == EMAIL))
    assert events(caplog, "registered") == [
        {"event": "registered", "user_id": user_id, "address": ADDRESS}
    ]


async def test_registration_by_an_administrator(
    client: httpx.AsyncClient, admin: User, caplog: pytest.LogCaptureFixture
) -> None:
    user = (await client.post("/users", json=new_user())).json()

    (event,) = events(caplog, "registered")
    assert (event["user_id"], event["actor_id"]) == (user["id"], admin.id)


async def test_invitation_sent_and_used(
    client: httpx.AsyncClient,
    open_client: Opener,
    admin: User,
    mailbox: Mailbox,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await client.post("/auth/invitations", json={"email": EMAIL})
    body = new_user(invitation=mailbox.token())
    user = (await open_client(ADDRESS).post("/users", json=body)).json()
    again = await open_client(ADDRESS).post("/users", json=body)

    assert again.status_code == 403
    assert events(caplog, "invitation_sent", "invitation_used") == [
        {"event": "invitation_sent", "actor_id": admin.id},
        {"event": "invitation_used", "user_id": user["id"], "address": ADDRESS},
    ]
    assert EMAIL not in caplog.text


@pytest.mark.usefixtures("mailbox")
async def test_password_reset_asked_for(
    open_client: Opener, ann: User, caplog: pytest.LogCaptureFixture
) -> None:
    for email in (EMAIL, "unknown@example.com"):
        await open_client(ADDRESS).post("/auth/password-reset", json={"email": email})

    event = {"event": "password_reset_requested", "user_id": ann.id, "address": ADDRESS}
    assert events(caplog, "password_reset_requested") == [event]


async def test_device_ended_and_signed_out_everywhere(
    open_client: Opener, ann: User, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = [await sign_in(open_client()) for _ in range(2)]
    client = open_client()
    ended = first.json()["session_id"]
    await client.delete(f"/auth/sessions/{ended}", headers=signed_in(second))
    again = await client.delete(f"/auth/sessions/{ended}", headers=signed_in(second))
    await client.delete("/auth/sessions", headers=signed_in(second))

    assert again.status_code == 404
    assert events(caplog, "session_ended", "signed_out_everywhere") == [
        {"event": "session_ended", "user_id": ann.id, "session_id": ended},
        {"event": "signed_out_everywhere", "user_id": ann.id},
    ]


async def test_refused_access(
    open_client: Opener,
    make: Factory,
    ann: User,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    headers = await bearer(make, await make.user(id=2**40), settings)
    await open_client(ADDRESS).delete(f"/users/{ann.id}", headers=headers)
    await open_client(ADDRESS, registration="closed").post("/users", json=new_user())

    assert events(caplog, "access_refused") == [
        {
            "event": "access_refused",
            "actor_id": 2**40,
            "address": ADDRESS,
            "method": "DELETE",
            "path": f"/users/{ann.id}",
            "outcome": "Only the owner or an administrator may do this",
        },
        {
            "event": "access_refused",
            "address": ADDRESS,
            "method": "POST",
            "path": "/users",
            "outcome": "Registration is closed: ask an administrator for an account",
        },
    ]
