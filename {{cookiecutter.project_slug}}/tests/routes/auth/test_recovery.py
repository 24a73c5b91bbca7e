"""Changes of passwords and addresses, and password resets by mail."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Database
from app.jobs.maintenance import prune
from app.models.auth.one_time_token import OneTimeToken
from app.models.user import User
from tests.auth.accounts import (
    EMAIL,
    NEW_PASSWORD,
    PASSWORD,
    Mailbox,
    Opener,
    is_signed_in,
    new_user,
    refresh,
    sign_in,
    signed_in,
)
from tests.auth.endpoints import AccountEndpoint
from tests.endpoints import CALLER, OPEN, Endpoint
from tests.factories import Factory
from tests.inline_jobs import AFTER_RESPONSES

CHANGE = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
MAIL = {"email": "x@example.com"}
RESET = {"token": "x", "new_password": NEW_PASSWORD}

ENDPOINTS = [
    # The statements of a wrong password: mainly two limits.
    AccountEndpoint(
        "POST /auth/password",
        CALLER,
        statements=11,
        json=CHANGE,
        statuses=(401, 403, 200, 403),
    ),
    AccountEndpoint(
        "POST /auth/password",
        CALLER,
        statements=3,
        status=403,
        json=CHANGE | {"current_password": "x"},
    ),
    # The account is looked up after the response; here it does not exist.
    Endpoint("POST /auth/password-reset", OPEN, statements=3, status=202, json=MAIL),
    Endpoint("POST /auth/password-reset/confirm", OPEN, statements=1, status=403, json=RESET),
    Endpoint("POST /auth/verify-email", OPEN, statements=3, status=202, json=MAIL),
    Endpoint(
        "POST /auth/verify-email/confirm",
        OPEN,
        statements=1,
        status=403,
        json={"token": "x", "password": "x"},
    ),
]


@pytest.mark.usefixtures("ann")
async def test_changed_password_ends_every_session_and_begins_a_new_one(
    open_client: Opener, mailbox: Mailbox
) -> None:
    client = open_client()
    here, elsewhere = await sign_in(client), await sign_in(client)

    response = await client.post("/auth/password", json=CHANGE, headers=signed_in(here))

    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    for old in (here, elsewhere):
        assert not await is_signed_in(client, signed_in(old))
        assert (await refresh(client, old.json()["refresh_token"])).status_code == 401
    assert await is_signed_in(client, signed_in(response))
    assert (await refresh(client, response.json()["refresh_token"])).status_code == 200
    assert (await sign_in(client)).status_code == 401
    assert (await sign_in(client, password=NEW_PASSWORD)).status_code == 200
    assert mailbox.subjects() == [f"{EMAIL}: your password was changed"]


@pytest.mark.usefixtures("ann")
async def test_password_is_changed_by_those_only_who_know_it(
    open_client: Opener, mailbox: Mailbox
) -> None:
    client = open_client()
    headers = signed_in(await sign_in(client))

    response = await client.post(
        "/auth/password", json=CHANGE | {"current_password": "wrong"}, headers=headers
    )

    assert response.status_code == 403
    assert (await sign_in(client)).status_code == 200
    assert mailbox.mails == []


@pytest.mark.usefixtures("ann")
async def test_password_cannot_be_patched(open_client: Opener) -> None:
    client = open_client()
    headers = signed_in(await sign_in(client))

    response = await client.patch("/users/me", json={"password": NEW_PASSWORD}, headers=headers)

    assert response.status_code == 422


async def request_reset(open_client: Opener, email: str = EMAIL) -> None:
    response = await open_client().post("/auth/password-reset", json={"email": email})
    assert response.status_code == 202


@pytest.mark.usefixtures("ann")
async def test_password_is_reset_by_mail(open_client: Opener, mailbox: Mailbox) -> None:
    client = open_client()
    before = await sign_in(client)
    await request_reset(open_client, EMAIL.upper())
    assert mailbox.subjects() == [f"{EMAIL}: choose a new password"]

    body = {"token": mailbox.token(), "new_password": NEW_PASSWORD}
    response = await client.post("/auth/password-reset/confirm", json=body)

    assert response.status_code == 204
    assert not await is_signed_in(client, signed_in(before))
    assert (await refresh(client, before.json()["refresh_token"])).status_code == 401
    assert (await sign_in(client)).status_code == 401
    after = await sign_in(client, password=NEW_PASSWORD)
    me = await client.get("/users/me", headers=signed_in(after))
    assert me.json()["is_email_verified"] is True
    assert mailbox.subjects()[1:] == [f"{EMAIL}: your password was changed"]


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize(
    ("password", "code"),
    [(PASSWORD, "password_unchanged"), ("ann@example.com1", "password_too_personal")],
)
async def test_new_password_is_neither_the_old_one_nor_about_the_user(
    open_client: Opener, mailbox: Mailbox, password: str, code: str
) -> None:
    client = open_client()
    headers = signed_in(await sign_in(client))
    await request_reset(open_client)
    body = {"new_password": password}

    changed = await client.post("/auth/password", json=CHANGE | body, headers=headers)
    reset = await client.post(
        "/auth/password-reset/confirm", json=body | {"token": mailbox.token()}
    )

    for response in (changed, reset):
        assert response.status_code == 422
        assert response.json()["errors"][0]["code"] == code
    assert (await sign_in(client)).status_code == 200


@pytest.mark.usefixtures("ann")
async def test_common_password_leaves_the_token_good(open_client: Opener, mailbox: Mailbox) -> None:
    await request_reset(open_client)
    body = {"token": mailbox.token(), "new_password": "Password123"}
    refused = await open_client().post("/auth/password-reset/confirm", json=body)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["code"] == "password_too_common"
    assert "Password123" not in refused.text

    body["new_password"] = NEW_PASSWORD
    assert (await open_client().post("/auth/password-reset/confirm", json=body)).status_code == 204


@pytest.mark.usefixtures("ann")
async def test_newer_reset_takes_the_place_of_the_older_one(
    open_client: Opener, mailbox: Mailbox, session: AsyncSession
) -> None:
    await request_reset(open_client)
    old = mailbox.token()
    await request_reset(open_client)

    body = {"token": old, "new_password": NEW_PASSWORD}
    response = await open_client().post("/auth/password-reset/confirm", json=body)

    assert response.status_code == 403
    assert await session.scalar(select(func.count()).select_from(OneTimeToken)) == 1
    body["token"] = mailbox.token()
    assert (await open_client().post("/auth/password-reset/confirm", json=body)).status_code == 204


@pytest.mark.usefixtures("ann")
async def test_reset_expires(open_client: Opener, mailbox: Mailbox, session: AsyncSession) -> None:
    await request_reset(open_client)
    await session.execute(
        update(OneTimeToken).values(expires_at=OneTimeToken.expires_at - timedelta(hours=1))
    )
    await session.commit()

    body = {"token": mailbox.token(), "new_password": NEW_PASSWORD}
    response = await open_client().post("/auth/password-reset/confirm", json=body)

    assert response.status_code == 403
    assert (await sign_in(open_client())).status_code == 200


async def test_imported_user_gets_a_password_by_mail(
    open_client: Opener, mailbox: Mailbox, session: AsyncSession
) -> None:
    session.add(User(email=EMAIL, display_name="Ann"))
    await session.commit()
    await request_reset(open_client)

    body = {"token": mailbox.token(), "new_password": NEW_PASSWORD}
    await open_client().post("/auth/password-reset/confirm", json=body)

    assert (await sign_in(open_client(), password=NEW_PASSWORD)).status_code == 200


async def test_unknown_and_inactive_accounts_get_no_mail(
    open_client: Opener, mailbox: Mailbox, session: AsyncSession
) -> None:
    session.add(User(email="gone@example.com", display_name="Gone", is_active=False))
    await session.commit()
    for email in ("nobody@example.com", "gone@example.com"):
        await request_reset(open_client, email)

    assert mailbox.mails == []


@pytest.mark.usefixtures("ann")
async def test_address_is_verified_by_mail_once(open_client: Opener, mailbox: Mailbox) -> None:
    client = open_client()
    await client.post("/auth/verify-email", json={"email": EMAIL})
    body = {"token": mailbox.token(), "password": PASSWORD}

    first = await client.post("/auth/verify-email/confirm", json=body)
    second = await client.post("/auth/verify-email/confirm", json=body)
    await client.post("/auth/verify-email", json={"email": EMAIL})

    assert (first.status_code, second.status_code) == (204, 403)
    me = await client.get("/users/me", headers=signed_in(await sign_in(client)))
    assert me.json()["is_email_verified"] is True
    assert len(mailbox.mails) == 1  # there is nothing left to verify


@pytest.mark.usefixtures("ann")
async def test_new_address_takes_the_password_and_is_told_to_the_old_one(
    open_client: Opener, mailbox: Mailbox
) -> None:
    client = open_client(require_verified_email=False)
    headers = signed_in(await sign_in(client))
    await request_reset(open_client)
    reset = mailbox.token()
    patch = {"email": "ann@example.org"}

    without = await client.patch("/users/me", json=patch, headers=headers)
    wrong = await client.patch(
        "/users/me", json=patch | {"current_password": "wrong"}, headers=headers
    )
    right = await client.patch(
        "/users/me", json=patch | {"current_password": PASSWORD}, headers=headers
    )

    assert (without.status_code, wrong.status_code, right.status_code) == (403, 403, 200)
    assert right.json()["is_email_verified"] is False
    assert right.headers["etag"] == f'"{await version_of(client, headers)}"'
    assert mailbox.subjects()[1:] == [f"{EMAIL}: your e-mail address was changed"]
    body = {"token": reset, "new_password": NEW_PASSWORD}
    assert (await client.post("/auth/password-reset/confirm", json=body)).status_code == 403
    assert (await sign_in(client, "ann@example.org")).status_code == 200


async def version_of(client: object, headers: dict[str, str]) -> str:
    response = await client.get("/users/me", headers=headers)  # type: ignore[attr-defined]
    return str(response.headers["etag"].strip('"'))


async def change_email(
    client: httpx.AsyncClient, headers: dict[str, str], email: str, **more: str
) -> httpx.Response:
    patch = {"email": email, "current_password": PASSWORD} | more
    return await client.patch("/users/me", json=patch, headers=headers)


async def confirm(client: httpx.AsyncClient, token: str, password: str = PASSWORD) -> int:
    body = {"token": token, "password": password}
    return (await client.post("/auth/verify-email/confirm", json=body)).status_code


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize("is_required", [False, True])
async def test_new_address_is_used_as_soon_as_it_is_confirmed(
    open_client: Opener, mailbox: Mailbox, session: AsyncSession, is_required: bool
) -> None:
    await session.execute(update(User).values(is_email_verified=True))
    await session.commit()
    client = open_client(require_verified_email=is_required, mail_delivery="smtp")
    headers = signed_in(await sign_in(client))

    changed = await change_email(client, headers, "ann@example.org", display_name="Anna")
    token = mailbox.token()

    assert changed.status_code == 200
    assert changed.headers["etag"] == f'"{await version_of(client, headers)}"'
    shown = ("email", "pending_email", "is_email_verified", "display_name")
    assert [changed.json()[name] for name in shown] == [EMAIL, "ann@example.org", True, "Anna"]
    assert mailbox.subjects() == [
        f"{EMAIL}: a new e-mail address was entered",
        "ann@example.org: confirm your new e-mail address",
    ]
    assert (await sign_in(client, "ann@example.org")).status_code == 401
    assert (await sign_in(client)).status_code == 200

    await request_reset(open_client)
    reset = {"token": mailbox.token(), "new_password": NEW_PASSWORD}
    assert await confirm(client, token, "wrong") == 403
    assert await confirm(client, token) == 204

    me = await client.get("/users/me", headers=headers)
    assert [me.json()[name] for name in shown] == ["ann@example.org", None, True, "Anna"]
    assert (await sign_in(client, "ann@example.org")).status_code == 200
    assert (await sign_in(client)).status_code == 401
    assert mailbox.subjects()[3:] == [f"{EMAIL}: your e-mail address was changed"]
    assert (await client.post("/auth/password-reset/confirm", json=reset)).status_code == 403
    assert await confirm(client, token) == 403


@pytest.mark.usefixtures("ann")
async def test_newer_address_takes_the_place_of_an_older_one(
    open_client: Opener, mailbox: Mailbox
) -> None:
    client = open_client(mail_delivery="smtp")
    headers = signed_in(await sign_in(client))
    await change_email(client, headers, "first@example.org")
    first = mailbox.token()
    await change_email(client, headers, "second@example.org")

    assert await confirm(client, first) == 403
    assert await confirm(client, mailbox.token()) == 204
    assert (await sign_in(client, "second@example.org")).status_code == 200


@pytest.mark.usefixtures("ann")
async def test_link_of_an_older_address_confirms_no_newer_one(
    open_client: Opener, mailbox: Mailbox
) -> None:
    """Also before the job has come to the newer one: somebody could have another's address confirmed."""
    client = open_client(mail_delivery="smtp")
    headers = signed_in(await sign_in(client))
    await change_email(client, headers, "mine@example.org")
    AFTER_RESPONSES.clear()  # no job runs from here on
    await change_email(client, headers, "victim@example.org")

    assert await confirm(client, mailbox.token()) == 403
    assert (await sign_in(client)).status_code == 200


@pytest.mark.usefixtures("ann")
async def test_same_address_again_sends_another_mail(open_client: Opener, mailbox: Mailbox) -> None:
    client = open_client(mail_delivery="smtp")
    headers = signed_in(await sign_in(client))
    await change_email(client, headers, "ann@example.org")
    first = mailbox.token()
    await change_email(client, headers, "ann@example.org")

    assert await confirm(client, first) == 403
    assert await confirm(client, mailbox.token()) == 204


@pytest.mark.usefixtures("ann")
async def test_current_address_cancels_the_new_one(open_client: Opener, mailbox: Mailbox) -> None:
    client = open_client(mail_delivery="smtp")
    headers = signed_in(await sign_in(client))
    await change_email(client, headers, "ann@example.org")

    cancelled = await client.patch("/users/me", json={"email": EMAIL}, headers=headers)

    assert (cancelled.status_code, cancelled.json()["pending_email"]) == (200, None)
    assert await confirm(client, mailbox.token()) == 403
    assert (await sign_in(client)).status_code == 200


@pytest.mark.usefixtures("ann")
async def test_other_case_is_a_new_address_too(open_client: Opener, mailbox: Mailbox) -> None:
    client = open_client(mail_delivery="smtp")
    headers = signed_in(await sign_in(client))
    await change_email(client, headers, "Ann@example.com")

    assert await confirm(client, mailbox.token()) == 204
    me = await client.get("/users/me", headers=headers)
    assert me.json()["email"] == "Ann@example.com"


async def test_address_that_is_taken_meanwhile_is_a_conflict(
    open_client: Opener, mailbox: Mailbox, ann: User, make: Factory
) -> None:
    client = open_client(mail_delivery="smtp")
    headers = signed_in(await sign_in(client))
    await change_email(client, headers, "bob@example.com")
    await make.user(email="BOB@example.com")

    body = {"token": mailbox.token(), "password": PASSWORD}
    response = await client.post("/auth/verify-email/confirm", json=body)

    assert response.status_code == 409
    assert response.json()["code"] == "EMAIL_TAKEN"
    assert "bob@example.com is already registered" in response.json()["detail"]
    assert (await sign_in(client)).json()["token_type"] == "bearer"


async def test_administrator_changes_the_address_of_another_at_once(
    open_client: Opener, mailbox: Mailbox, ann: User, admin: User, admin_headers: dict[str, str]
) -> None:
    client = open_client(require_verified_email=True, mail_delivery="smtp")
    patch = {"email": "ann@example.org"}

    changed = await client.patch(f"/users/{ann.id}", json=patch, headers=admin_headers)

    assert [changed.json()[name] for name in ("email", "is_email_verified")] == [
        "ann@example.org",
        False,
    ]
    assert mailbox.subjects() == [
        f"{EMAIL}: your e-mail address was changed",
        f"{admin.email}: an administrator has changed an account",
        "ann@example.org: confirm your e-mail address",
    ]
    assert (await sign_in(client, "ann@example.org")).status_code == 401
    assert await confirm(client, mailbox.token()) == 204
    assert (await sign_in(client, "ann@example.org")).status_code == 200


@pytest.mark.parametrize("what", ["sign-out everywhere", "role", "address by an administrator"])
async def test_address_is_not_pending_after_its_token_was_revoked(
    open_client: Opener, mailbox: Mailbox, ann: User, admin_headers: dict[str, str], what: str
) -> None:
    client = open_client(mail_delivery="smtp")
    headers = signed_in(await sign_in(client))
    await change_email(client, headers, "ann@example.org")
    token = mailbox.token()

    path = f"/users/{ann.id}"
    if what == "sign-out everywhere":
        await client.delete("/auth/sessions", headers=headers)
    elif what == "role":
        await client.patch(f"{path}/access", json={"role": "admin"}, headers=admin_headers)
    else:
        await client.patch(path, json={"email": "anna@example.com"}, headers=admin_headers)

    assert await confirm(client, token) == 403
    assert (await client.get(path, headers=admin_headers)).json()["pending_email"] is None


async def test_address_that_nobody_confirms_is_forgotten(
    live_database: Database, make_live: Factory, live_session: AsyncSession
) -> None:
    forgotten = await make_live.user(pending_email="old@example.com")
    fresh = await make_live.user(pending_email="new@example.com")
    waiting = await make_live.user(pending_email="sent@example.com")
    days = timedelta(days=3)
    old = update(User).where(User.id != fresh.id).values(updated_at=func.now() - days)
    token = OneTimeToken(
        purpose="change_email",
        email=waiting.email,
        user_id=waiting.id,
        digest=b"x",
        expires_at=datetime.now(UTC) + timedelta(hours=1),
    )
    live_session.add(token)
    await live_session.execute(old)
    await live_session.commit()

    await prune(live_database)

    rows = await live_session.execute(select(User.id, User.pending_email, User.version))
    pending = {user_id: (email, version) for user_id, email, version in rows}
    assert pending[forgotten.id] == (None, 2)
    assert pending[fresh.id] == ("new@example.com", 1)
    assert pending[waiting.id] == ("sent@example.com", 1)


async def test_account_without_a_password_has_nothing_to_confirm_an_address_with(
    open_client: Opener, mailbox: Mailbox, make: Factory
) -> None:
    """It gets a password by a reset, which verifies the address as well."""
    await make.user(email=EMAIL)
    await open_client().post("/auth/verify-email", json={"email": EMAIL})

    assert mailbox.mails == []


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("sh0rt", "string_too_short"),
        ("\u1100\u1161" * 7, "string_too_short"),  # seven characters, sent as fourteen
        ("x" * 129, "string_too_long"),
        ("\ufdfa" * 8, "string_too_long"),  # eight characters that stand for 144
        ("x" * 60_000, "string_too_long"),
        ("password1", "password_too_common"),
        ("PASSWORD1", "password_too_common"),
        ("\uff50assword1", "password_too_common"),
    ],
    ids=range(8),
)
async def test_invalid_password_is_refused_by_its_rule_and_not_repeated(
    open_client: Opener, password: str, code: str
) -> None:
    response = await open_client().post("/users", json=new_user(password=password))

    assert response.status_code == 422
    assert [(error["loc"], error["code"]) for error in response.json()["errors"]] == [
        (["body", "password"], code)
    ]
    assert password not in response.text


@pytest.mark.parametrize(
    "password",
    ["\U0001f40e" * 8, "e\u0301" * 128, "          ", "p\u00e4ssw\u00f6rter \u4e2d\u6587"],
    ids=range(4),
)
async def test_password_may_be_of_any_characters(open_client: Opener, password: str) -> None:
    response = await open_client().post("/users", json=new_user(password=password))

    assert response.status_code == 201
    assert (await sign_in(open_client(), password=password)).status_code == 200
