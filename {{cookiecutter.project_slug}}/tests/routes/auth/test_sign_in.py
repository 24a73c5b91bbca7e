"""Signing in, staying signed in, and signing out."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast

import httpx
import jwt
import pytest
from fastapi import FastAPI
from pwdlib import PasswordHash
from pydantic import SecretStr
from sqlalchemy import QueuePool, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.database.sessions import Database
from app.core.security.passwords import hash_password
from app.dependencies.auth.services import get_sign_in_service
from app.models.auth.login_session import LoginSession
from app.models.user import User
from app.services.auth.sign_in_service import SignInService
from tests.auth.accounts import (
    EMAIL,
    PASSWORD,
    Opener,
    bearer,
    is_signed_in,
    make_login_session,
    new_user,
    refresh,
    sign_in,
    signed_in,
)
from tests.auth.endpoints import AccountEndpoint
from tests.conftest import rolled_back_client
from tests.endpoints import CALLER, OPEN, Endpoint
from tests.factories import Factory

PATH_PARAMETERS = {"session_id": make_login_session}

WRONG = {"username": "x@example.com", "password": "wrong"}
UNKNOWN = {"refresh_token": "A" * 64}

ENDPOINTS = [
    # Includes one statement for each limit.
    Endpoint("POST /auth/token", OPEN, statements=4, status=401, data=WRONG),
    Endpoint("POST /auth/refresh", OPEN, statements=1, status=401, data=UNKNOWN),
    Endpoint("POST /auth/logout", OPEN, statements=1, status=204, data=UNKNOWN),
    Endpoint("GET /auth/sessions", CALLER, statements=1),
    Endpoint("DELETE /auth/sessions", CALLER, statements=4, status=204),
    # Administrators end those of others by `DELETE /users/{id}/sessions`, all at once.
    AccountEndpoint(
        "DELETE /auth/sessions/{session_id}",
        CALLER,
        statements=1,
        status=204,
        statuses=(401, 404, 204, 404),
    ),
]


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize("username", [EMAIL, EMAIL.upper()])
async def test_password_is_exchanged_for_tokens_that_work(
    open_client: Opener, username: str
) -> None:
    client = open_client()
    response = await sign_in(client, username)

    assert response.status_code == 200
    assert response.json()["token_type"] == "bearer"
    assert response.json()["expires_in"] == 900
    assert response.headers["cache-control"] == "no-store"
    me = await client.get("/users/me", headers=signed_in(response))
    assert me.json()["email"] == EMAIL


async def test_registered_user_can_sign_in(open_client: Opener) -> None:
    client = open_client()
    created = await client.post("/users", json=new_user())

    assert PASSWORD not in created.text
    assert created.json()["role"] == "user"
    assert (await sign_in(client)).status_code == 200


async def test_password_is_taken_as_it_is_typed(open_client: Opener) -> None:
    client, password = open_client(), f" {PASSWORD} "
    await client.post("/users", json=new_user(password=password))

    assert (await sign_in(client, password=password)).status_code == 200
    assert (await sign_in(client, password=password.strip())).status_code == 401


async def test_failures_to_sign_in_look_alike_and_cost_the_same(
    open_client: Opener, make: Factory, ann: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make.user(email="imported@example.com")
    await make.user(email="gone@example.com", is_active=False, hashed_password=ann.hashed_password)
    verified: list[str] = []
    verify = PasswordHash.verify_and_update

    def count(self: PasswordHash, password: str, hashed_password: str) -> Any:
        verified.append(hashed_password.rpartition("$")[0].rpartition("$")[0])
        return verify(self, password, hashed_password)

    monkeypatch.setattr(PasswordHash, "verify_and_update", count)
    client = open_client()
    client.headers["X-Request-ID"] = "the-same"
    responses = [
        await sign_in(client, EMAIL, "wrong password"),
        await sign_in(client, "nobody@example.com"),
        await sign_in(client, "imported@example.com"),
        await sign_in(client, "gone@example.com"),
        await sign_in(client, "not an address", "x"),
    ]

    assert {response.status_code for response in responses} == {401}
    assert len({response.text for response in responses}) == 1
    assert {response.headers["www-authenticate"] for response in responses} == {"Bearer"}
    assert len(verified) == 5
    assert len(set(verified)) == 1  # the same algorithm with the same parameters


@pytest.mark.parametrize(
    "form",
    [
        {"username": EMAIL},
        {"username": "nul\u0000", "password": "x"},
        {"username": "x" * 256, "password": "x"},
        {"username": EMAIL, "password": "hunter2" * 80},
        {"username": EMAIL, "password": "hunter2", "grant_type": "implicit"},
    ],
)
async def test_wrong_form_is_refused_without_repeating_it(
    open_client: Opener, form: dict[str, str]
) -> None:
    response = await open_client().post("/auth/token", data=form)

    assert response.status_code == 422
    assert "hunter2" not in response.text


@pytest.mark.usefixtures("ann")
async def test_hash_is_renewed_at_the_next_sign_in_when_the_settings_ask_for_more(
    open_client: Opener, session: AsyncSession
) -> None:
    assert (await sign_in(open_client(argon2_time_cost=2), EMAIL, "wrong")).status_code == 401
    assert "t=1" in str(await session.scalar(select(User.hashed_password)))

    assert (await sign_in(open_client(argon2_time_cost=2))).status_code == 200

    assert "t=2" in str(await session.scalar(select(User.hashed_password)))
    assert (await sign_in(open_client(argon2_time_cost=2))).status_code == 200


async def test_those_who_wait_for_their_password_to_be_checked_hold_no_connection(
    live_client: httpx.AsyncClient, live_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []

    async def check(*_: object) -> tuple[bool, None]:
        held.append(cast("QueuePool", live_database.writer.pool).checkedout())
        return False, None

    monkeypatch.setattr("app.services.auth.sign_in_service.verify_password", check)
    await sign_in(live_client)

    assert held == [0]


async def test_account_that_changes_while_its_password_is_checked_is_not_signed_in_to(
    live_client: httpx.AsyncClient,
    live_session: AsyncSession,
    make_live: Factory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ann = await make_live.user(email=EMAIL)

    async def check(*_: object) -> tuple[bool, None]:
        await live_session.execute(update(User).values(token_generation=User.token_generation + 1))
        await live_session.commit()
        return True, None

    monkeypatch.setattr("app.services.auth.sign_in_service.verify_password", check)

    assert (await sign_in(live_client)).status_code == 401
    sessions = select(func.count()).where(LoginSession.user_id == ann.id)
    assert await live_session.scalar(sessions) == 0


@pytest.mark.usefixtures("ann")
async def test_refresh_token_is_exchanged_again_and_again_in_one_row(
    open_client: Opener, session: AsyncSession
) -> None:
    client = open_client()
    response = await sign_in(client)
    session_id = response.json()["session_id"]
    seen = {response.json()["refresh_token"]}
    for _ in range(5):
        response = await refresh(client, response.json()["refresh_token"])
        assert response.status_code == 200
        assert response.headers["cache-control"] == "no-store"
        assert response.json()["session_id"] == session_id
        seen.add(response.json()["refresh_token"])

    assert len(seen) == 6
    assert await is_signed_in(client, signed_in(response))
    assert await session.scalar(select(func.count()).select_from(LoginSession)) == 1


@pytest.mark.usefixtures("ann")
async def test_refresh_token_is_stored_as_a_digest(
    open_client: Opener, session: AsyncSession
) -> None:
    token = (await sign_in(open_client())).json()["refresh_token"]
    rows = (await session.execute(select(LoginSession.__table__))).all()

    assert len(rows) == 1
    assert token not in str(rows)
    assert len(rows[0].secret_digest) == 32


@pytest.mark.usefixtures("ann")
async def test_lost_response_is_given_again_to_the_same_client(open_client: Opener) -> None:
    client = open_client()
    first = (await sign_in(client)).json()["refresh_token"]
    lost = await refresh(client, first)

    again = await refresh(client, first)

    assert again.status_code == 200
    assert again.json()["refresh_token"] == lost.json()["refresh_token"]
    assert await is_signed_in(client, signed_in(again))
    assert (await refresh(client, again.json()["refresh_token"])).status_code == 200


@pytest.mark.usefixtures("ann")
async def test_lost_response_is_given_again_though_the_key_has_changed_meanwhile(
    open_client: Opener, settings: Settings
) -> None:
    first = (await sign_in(open_client())).json()["refresh_token"]
    lost = await refresh(open_client(), first)
    rotated = open_client(
        secret_key=SecretStr("another-key-0123456789-abcdefghijklmnopqrstuvw"),
        secret_key_previous=settings.secret_key,
    )

    again = await refresh(rotated, first)

    assert again.json()["refresh_token"] == lost.json()["refresh_token"]


async def pass_time(session: AsyncSession, **by: float) -> None:
    """Let all sessions age."""
    age = timedelta(**by)
    await session.execute(
        update(LoginSession).values(
            last_used_at=LoginSession.last_used_at - age, expires_at=LoginSession.expires_at - age
        )
    )
    await session.commit()


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize(
    ("seconds", "address", "agent"),
    [
        (11, "127.0.0.1", "browser"),
        (0, "192.0.2.1", "browser"),
        (0, "127.0.0.1", "another"),
    ],
)
async def test_reused_token_ends_the_session_for_the_thief_and_the_owner(
    open_client: Opener,
    session: AsyncSession,
    caplog: pytest.LogCaptureFixture,
    seconds: int,
    address: str,
    agent: str,
) -> None:
    owner = open_client()
    owner.headers["User-Agent"] = "browser"
    first = (await sign_in(owner)).json()["refresh_token"]
    second = (await refresh(owner, first)).json()["refresh_token"]
    await pass_time(session, seconds=seconds)

    reused = await refresh(open_client(address), first, **{"User-Agent": agent})

    assert reused.status_code == 401
    assert reused.headers["www-authenticate"] == "Bearer"
    assert (await refresh(owner, second)).status_code == 401
    assert "refresh_reuse" in caplog.text


@pytest.mark.usefixtures("ann")
async def test_token_before_the_previous_one_ends_the_session_even_within_the_grace(
    open_client: Opener,
) -> None:
    client = open_client()
    tokens = [(await sign_in(client)).json()["refresh_token"]]
    for _ in range(2):
        tokens.append((await refresh(client, tokens[-1])).json()["refresh_token"])

    assert (await refresh(client, tokens[0])).status_code == 401
    assert (await refresh(client, tokens[2])).status_code == 401


async def test_all_of_many_who_refresh_at_once_get_a_token_that_works(
    live_client: httpx.AsyncClient, make_live: Factory, settings: Settings
) -> None:
    hashed_password = await hash_password(SecretStr(PASSWORD), settings)
    await make_live.user(email=EMAIL, hashed_password=hashed_password)
    token = (await sign_in(live_client)).json()["refresh_token"]

    responses = await asyncio.gather(*(refresh(live_client, token) for _ in range(8)))

    assert {response.status_code for response in responses} == {200}
    (following,) = {response.json()["refresh_token"] for response in responses}
    assert (await refresh(live_client, following)).status_code == 200


@pytest.mark.usefixtures("ann")
async def test_session_ends_when_idle_and_otherwise_lives_on(
    open_client: Opener, session: AsyncSession
) -> None:
    client = open_client()
    token = (await sign_in(client)).json()["refresh_token"]
    await pass_time(session, days=6)
    token = (await refresh(client, token)).json()["refresh_token"]
    await pass_time(session, days=7)

    assert (await refresh(client, token)).status_code == 401
    assert await session.scalar(select(func.count()).select_from(LoginSession)) == 0


@pytest.mark.usefixtures("ann")
async def test_session_ends_after_its_life_however_much_it_is_used(
    open_client: Opener, session: AsyncSession
) -> None:
    client = open_client()
    token = (await sign_in(client)).json()["refresh_token"]
    for _ in range(5):
        await pass_time(session, days=5.5)
        token = (await refresh(client, token)).json()["refresh_token"]
    await pass_time(session, days=3)

    assert (await refresh(client, token)).status_code == 401


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize("use_first", [True, False])
async def test_logout_ends_the_session_and_no_other(
    open_client: Opener, *, use_first: bool
) -> None:
    client = open_client()
    other = (await sign_in(client)).json()["refresh_token"]
    first = (await sign_in(client)).json()["refresh_token"]
    second = (await refresh(client, first)).json()["refresh_token"]

    response = await client.post(
        "/auth/logout", data={"refresh_token": first if use_first else second}
    )

    assert response.status_code == 204
    assert (await refresh(client, second)).status_code == 401
    assert (await refresh(client, other)).status_code == 200


async def test_logout_with_an_unknown_token_does_nothing(open_client: Opener) -> None:
    for token in ("x", "A" * 64):
        response = await open_client().post("/auth/logout", data={"refresh_token": token})
        assert response.status_code == 204


@pytest.mark.usefixtures("ann")
async def test_devices_are_listed_and_signed_out_one_by_one(open_client: Opener) -> None:
    phone, laptop = open_client("192.0.2.1"), open_client("192.0.2.2")
    phone.headers["User-Agent"], laptop.headers["User-Agent"] = "phone", "laptop"
    on_phone, on_laptop = await sign_in(phone), await sign_in(laptop)

    listed = await laptop.get("/auth/sessions", headers=signed_in(on_laptop))
    gone = await laptop.delete(
        f"/auth/sessions/{on_phone.json()['session_id']}", headers=signed_in(on_laptop)
    )

    assert [(item["address"], item["user_agent"]) for item in listed.json()] == [
        ("192.0.2.2", "laptop"),
        ("192.0.2.1", "phone"),
    ]
    assert listed.json()[0]["id"] == on_laptop.json()["session_id"]
    assert gone.status_code == 204
    assert (await refresh(phone, on_phone.json()["refresh_token"])).status_code == 401
    assert (await refresh(laptop, on_laptop.json()["refresh_token"])).status_code == 200


@pytest.mark.usefixtures("ann")
async def test_session_that_is_over_is_not_listed(
    open_client: Opener, session: AsyncSession
) -> None:
    await sign_in(open_client())
    await pass_time(session, days=7)
    response = await sign_in(open_client())

    listed = await open_client().get("/auth/sessions", headers=signed_in(response))

    assert [item["id"] for item in listed.json()] == [response.json()["session_id"]]


@pytest.mark.usefixtures("ann")
async def test_signing_out_everywhere_ends_every_token_at_once(open_client: Opener) -> None:
    client = open_client()
    responses = [await sign_in(client) for _ in range(2)]

    gone = await client.delete("/auth/sessions", headers=signed_in(responses[0]))

    assert gone.status_code == 204
    for response in responses:
        assert (await refresh(client, response.json()["refresh_token"])).status_code == 401
        refused = await client.get("/users/me", headers=signed_in(response))
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == 'Bearer error="invalid_token"'


async def test_all_of_many_who_sign_out_everywhere_at_once_do_so(
    live_client: httpx.AsyncClient, make_live: Factory, settings: Settings
) -> None:
    hashed_password = await hash_password(SecretStr(PASSWORD), settings)
    await make_live.user(email=EMAIL, hashed_password=hashed_password)
    headers = signed_in(await sign_in(live_client))

    responses = await asyncio.gather(
        *(live_client.delete("/auth/sessions", headers=headers) for _ in range(8))
    )

    statuses = {response.status_code for response in responses}
    assert statuses <= {204, 401}  # later requests have a revoked token
    assert 204 in statuses


@pytest.mark.usefixtures("ann")
async def test_idlest_device_is_signed_out_when_there_are_too_many(
    open_client: Opener, session: AsyncSession
) -> None:
    client = open_client(sessions_per_user=3)
    tokens = [(await sign_in(client)).json()["refresh_token"] for _ in range(3)]
    tokens[0] = (await refresh(client, tokens[0])).json()["refresh_token"]

    await sign_in(client)

    assert await session.scalar(select(func.count()).select_from(LoginSession)) == 3
    statuses = [(await refresh(client, token)).status_code for token in tokens]
    assert statuses == [200, 401, 200]


async def test_brackets_in_a_form_are_no_nesting(open_client: Opener) -> None:
    response = await sign_in(open_client(max_json_depth=4), password="[" * 40)

    assert response.status_code == 401


async def test_sign_in_by_json_is_told_to_send_a_form(open_client: Opener) -> None:
    response = await open_client().post("/auth/token", json={"username": EMAIL})
    incomplete = await open_client().post("/auth/token", files={"username": (None, EMAIL)})

    error = response.json()["errors"][0]
    assert error["loc"] == ["header", "Content-Type"]
    assert error["detail"] == (
        "Send the body as application/x-www-form-urlencoded, not as application/json"
    )
    assert [one["loc"] for one in incomplete.json()["errors"]] == [["body", "password"]]


def claims(response: httpx.Response) -> dict[str, Any]:
    token = response.json()["access_token"]
    found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return found


async def test_tokens_say_when_and_how_the_user_has_signed_in(
    open_client: Opener, session: AsyncSession, ann: User
) -> None:
    first = await sign_in(open_client())
    age = timedelta(hours=2)
    await session.execute(update(LoginSession).values(created_at=LoginSession.created_at - age))
    await session.commit()

    renewed = await refresh(open_client(), first.json()["refresh_token"])

    assert claims(first)["amr"] == claims(renewed)["amr"] == ["pwd"]
    assert abs(claims(first)["auth_time"] - claims(first)["iat"]) <= 2
    assert claims(renewed)["auth_time"] == claims(first)["auth_time"] - 2 * 60 * 60
    assert claims(first)["sid"] == claims(renewed)["sid"] == str(first.json()["session_id"])
    assert claims(first)["sub"] == str(ann.id)


async def test_changing_the_password_is_a_sign_in(
    open_client: Opener, make: Factory, ann: User, settings: Settings
) -> None:
    headers = await bearer(make, ann, settings, timedelta(hours=1))
    body = {"current_password": PASSWORD, "new_password": "staple in the meadow"}

    changed = await open_client().post("/auth/password", json=body, headers=headers)

    assert claims(changed)["iat"] - claims(changed)["auth_time"] <= 2
    deleted = await open_client().delete(f"/users/{ann.id}", headers=signed_in(changed))
    assert deleted.status_code == 204


class SignInByPasswordAndCode(SignInService):
    """What a project with a second factor writes."""

    async def require_second_factor(self, user: User) -> Sequence[str] | None:
        return ["pwd", "otp"] if user.display_name == "Has the code" else None


@pytest.mark.parametrize(("name", "status"), [("Has the code", 200), ("Has none", 401)])
async def test_second_factor_stands_between_the_password_and_the_session(
    app: FastAPI,
    database: Database,
    session: AsyncSession,
    make: Factory,
    ann: User,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    status: int,
) -> None:
    user = await make.user(display_name=name, hashed_password=ann.hashed_password)
    service = SignInByPasswordAndCode(database, settings)
    monkeypatch.setitem(app.dependency_overrides, get_sign_in_service, lambda: service)
    client = rolled_back_client(app, database, session)

    response = await sign_in(client, user.email)

    assert response.status_code == status
    event = "sign_in" if status == 200 else "sign_in_failed"
    assert f'{event} user_id={user.id} address="127.0.0.1"' in caplog.messages
    sessions = select(func.count()).where(LoginSession.user_id == user.id)
    assert await session.scalar(sessions) == (status == 200)
    if status == 200:
        renewed = await refresh(client, response.json()["refresh_token"])
        assert claims(response)["amr"] == claims(renewed)["amr"] == ["pwd", "otp"]
