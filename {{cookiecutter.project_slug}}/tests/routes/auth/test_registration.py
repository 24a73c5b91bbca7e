"""Registration: who may register, and what the response reveals."""

import httpx
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.database.constraints import Refusal, declared_refusals
from app.exceptions import ConflictError
from app.models.user import User
from tests.auth.accounts import (
    EMAIL,
    NEW_PASSWORD,
    PASSWORD,
    Mailbox,
    Opener,
    bearer,
    new_user,
    sign_in,
    signed_in,
)
from tests.auth.endpoints import AccountEndpoint
from tests.endpoints import CALLER, OPEN, OWNER, Endpoint
from tests.factories import Factory
from tests.inline_jobs import AFTER_RESPONSES

ENDPOINTS = [
    # Without the limit, which does not apply to administrators.
    AccountEndpoint(
        "POST /users", OPEN, statements=2, status=201, json=new_user(), measured_as="anonymous"
    ),
    Endpoint("GET /users/me", CALLER, statements=0),
    Endpoint("PATCH /users/me", CALLER, statements=2, json={"display_name": "Other"}),
    # One statement locks the administrators, because the last one cannot be deleted.
    AccountEndpoint(
        "DELETE /users/{user_id}", OWNER, statements=5, status=204, measured_as="admin"
    ),
]


async def count_users(session: AsyncSession) -> int:
    return await session.scalar(select(func.count()).select_from(User)) or 0


@pytest.mark.parametrize("registration", ["closed", "invitation"])
async def test_strangers_cannot_register_where_it_is_not_open(
    open_client: Opener, make: Factory, settings: Settings, session: AsyncSession, registration: str
) -> None:
    client = open_client(registration=registration)
    user = await make.user()

    anonymous = await client.post("/users", json=new_user())
    known = await client.post("/users", json=new_user(), headers=await bearer(make, user, settings))

    assert (anonymous.status_code, known.status_code) == (403, 403)
    assert await count_users(session) == 1


@pytest.mark.parametrize("registration", ["open", "closed", "invitation"])
async def test_administrators_create_accounts_in_any_case(
    open_client: Opener, settings: Settings, admin: User, registration: str, make: Factory
) -> None:
    client = open_client(registration=registration)

    response = await client.post(
        "/users", json=new_user(), headers=await bearer(make, admin, settings)
    )

    assert response.status_code == 201
    assert (await sign_in(client)).status_code == 200


async def test_account_by_an_administrator_is_verified_where_addresses_are(
    open_client: Opener, settings: Settings, admin: User, mailbox: Mailbox, make: Factory
) -> None:
    client = open_client(require_verified_email=True)

    response = await client.post(
        "/users", json=new_user(), headers=await bearer(make, admin, settings)
    )

    assert response.status_code == 201
    assert mailbox.subjects() == [f"{EMAIL}: confirm your e-mail address"]
    assert (await sign_in(client)).status_code == 401


async def invite(open_client: Opener, headers: dict[str, str], email: str = EMAIL) -> None:
    response = await open_client().post("/auth/invitations", json={"email": email}, headers=headers)
    assert response.status_code == 202


@pytest.mark.parametrize("registration", ["open", "invitation"])
async def test_invitation_lets_its_receiver_register_once_and_verifies_the_address(
    open_client: Opener, admin_headers: dict[str, str], mailbox: Mailbox, registration: str
) -> None:
    await invite(open_client, admin_headers)
    client = open_client(registration=registration, require_verified_email=True)
    body = new_user(invitation=mailbox.token(), email="Ann@example.com")

    first = await client.post("/users", json=body)
    second = await client.post("/users", json=body)

    assert first.status_code == 201
    assert first.json()["is_email_verified"] is True
    assert second.status_code == 403
    assert (await sign_in(client)).status_code == 200
    assert mailbox.subjects() == [f"{EMAIL}: you are invited"]


async def test_newer_invitation_revokes_an_older_one(
    open_client: Opener, mailbox: Mailbox, admin_headers: dict[str, str]
) -> None:
    """Also before the job has sent the newer one."""
    await invite(open_client, admin_headers)
    AFTER_RESPONSES.clear()  # no job runs from here on
    await invite(open_client, admin_headers, "Ann@example.com")

    body = new_user(invitation=mailbox.token())
    assert (await open_client().post("/users", json=body)).status_code == 403


async def test_invitation_is_for_one_address(
    open_client: Opener, admin_headers: dict[str, str], mailbox: Mailbox, session: AsyncSession
) -> None:
    await invite(open_client, admin_headers)
    client = open_client(registration="invitation")

    for token in (mailbox.token(), "unknown"):
        response = await client.post(
            "/users", json=new_user(email="eve@example.com", invitation=token)
        )
        assert response.status_code == 403
    assert await count_users(session) == 1
    # The wrong address has not consumed it.
    right = await client.post("/users", json=new_user(invitation=mailbox.token()))
    assert right.status_code == 201


async def test_new_account_waits_until_its_address_is_verified(
    open_client: Opener, mailbox: Mailbox
) -> None:
    client = open_client(require_verified_email=True)

    response = await client.post("/users", json=new_user())
    before = await sign_in(client)
    body = {"token": mailbox.token(), "password": PASSWORD}
    await client.post("/auth/verify-email/confirm", json=body)

    assert response.status_code == 202
    assert before.status_code == 401
    assert (await sign_in(client)).status_code == 200
    assert mailbox.subjects() == [f"{EMAIL}: confirm your e-mail address"]


async def test_registration_does_not_tell_whether_an_address_is_known(
    open_client: Opener, mailbox: Mailbox, ann: User, session: AsyncSession
) -> None:
    client = open_client(require_verified_email=True)
    client.headers["X-Request-ID"] = "the-same"

    responses = [
        await client.post("/users", json=new_user(email=email, password=NEW_PASSWORD))
        for email in (EMAIL, EMAIL.upper(), "new@example.com")
    ]

    assert {response.status_code for response in responses} == {202}
    assert len({response.text for response in responses}) == 1
    assert len({str(dict(response.headers)) for response in responses}) == 1
    assert mailbox.subjects() == [
        f"{EMAIL}: you have an account already",
        f"{EMAIL}: you have an account already",
        "new@example.com: confirm your e-mail address",
    ]
    stored = await session.scalar(select(User.hashed_password).where(User.email == EMAIL))
    assert stored == ann.hashed_password


async def test_owner_of_an_address_gets_the_account_that_somebody_else_has_registered(
    open_client: Opener, mailbox: Mailbox
) -> None:
    client = open_client(require_verified_email=True)
    await client.post("/users", json=new_user(password="password of the thief"))
    await client.post("/users", json=new_user(password=PASSWORD))

    body = {"token": mailbox.token(), "new_password": NEW_PASSWORD}
    response = await client.post("/auth/password-reset/confirm", json=body)

    assert response.status_code == 204
    assert (await sign_in(client, password=NEW_PASSWORD)).status_code == 200
    assert (await sign_in(client, password="password of the thief")).status_code == 401


@pytest.mark.usefixtures("ann")
async def test_key_of_an_idempotent_registration_needs_a_valid_token(
    open_client: Opener,
) -> None:
    client = open_client()
    headers = signed_in(await sign_in(client))
    key = {"Idempotency-Key": "first"}
    body = new_user(email="new@example.com")
    created = await client.post("/users", json=body, headers=headers | key)
    await client.delete("/auth/sessions", headers=headers)

    replayed = await client.post("/users", json=body, headers=headers | key)

    assert created.status_code == 201
    assert replayed.status_code == 401


async def test_registrations_are_limited_by_address(open_client: Opener) -> None:
    client = open_client("192.0.2.1", mails_per_address=3)
    responses: list[httpx.Response] = [
        await client.post("/users", json=new_user(email=f"new{number}@example.com"))
        for number in range(5)
    ]

    assert [response.status_code for response in responses] == [201, 201, 201, 429, 429]
    assert int(responses[-1].headers["retry-after"]) == 1200


@pytest.mark.parametrize(
    ("field", "value"), [("role", "admin"), ("password", "short"), ("password", "x" * 129)]
)
async def test_registration_with_an_invalid_field_is_refused(
    open_client: Opener, field: str, value: str
) -> None:
    response = await open_client().post("/users", json=new_user(**{field: value}))

    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"] == ["body", field]


async def test_registration_that_conflicts_in_something_else_does_not_promise_a_mail(
    open_client: Opener, session: AsyncSession, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A project may have a second unique column, whose violation must not be swallowed."""
    refusals = declared_refusals() | {
        "uq_users_display_name": Refusal(ConflictError, "This name is taken")
    }
    monkeypatch.setattr("app.core.database.constraints.declared_refusals", lambda: refusals)
    await session.execute(text("CREATE UNIQUE INDEX uq_users_display_name ON users (display_name)"))
    await session.commit()
    client = open_client(require_verified_email=True)

    first = await client.post("/users", json=new_user())
    second = await client.post("/users", json=new_user(email="other@example.com"))

    assert (first.status_code, second.status_code) == (202, 409)
    assert second.json()["detail"] == "This name is taken"
    assert mailbox.subjects() == [f"{EMAIL}: confirm your e-mail address"]
