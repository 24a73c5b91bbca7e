"""Attacks, one in each test, all of which must fail.

Attackers have nothing, an account of their own (Eve's), or something stolen.
"""

import ast
import asyncio
import base64
import hashlib
import hmac
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from itertools import islice, pairwise, product
from pathlib import Path
from typing import Any, Final

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import FastAPI
from pwdlib import PasswordHash
from pydantic import SecretStr
from sqlalchemy import Integer, func, select, table, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.config import Settings
from app.core.database import Database
from app.core.security.passwords import hash_password, hashes_at_once
from app.core.security.tokens import RefreshToken
from app.dependencies.auth.step_up import get_fresh_caller
from app.models.auth.login_session import LoginSession
from app.models.auth.one_time_token import OneTimeToken
from app.models.idempotency_key import IdempotencyKey
from app.models.user import User
from app.services.auth.password_service import PasswordService
from tests.auth.accounts import (
    EMAIL,
    NEW_PASSWORD,
    PASSWORD,
    Mailbox,
    Opener,
    bearer,
    is_signed_in,
    make_access_token,
    new_user,
    refresh,
    sign_in,
    signed_in,
)
from tests.callers import CALLERS, expected_statuses
from tests.conftest import http_client
from tests.endpoints import depends_on, routes, stated_endpoints
from tests.factories import Factory

APP: Final = Path(__file__).parents[3] / "app"

EVE: Final = "eve@example.com"
EVES_ADDRESS: Final = "203.0.113.66"
ATTACKERS_KEY: Final = "the-attackers-own-key-0123456789-abcdefghijkl"


@pytest.fixture
async def eve(make: Factory, ann: User) -> User:
    return await make.user(email=EVE, hashed_password=ann.hashed_password)


async def assert_refused(client: httpx.AsyncClient, token: str) -> None:
    response = await client.get("/users/me", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'


# Access tokens: forged, prolonged, or issued for another purpose.


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    return (
        jwt.get_unverified_header(token),
        jwt.decode(token, options={"verify_signature": False}),
        token.rpartition(".")[2],
    )


@pytest.fixture
async def good(make: Factory, ann: User, settings: Settings) -> str:
    """A valid token of Ann's, from which the forgeries are made."""
    return await make_access_token(make, ann, settings)


async def test_token_that_is_forged_from_is_valid_itself(open_client: Opener, good: str) -> None:
    assert await is_signed_in(open_client(), {"Authorization": f"Bearer {good}"})


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE"])
async def test_attack_algorithm_none(open_client: Opener, good: str, algorithm: str) -> None:
    header, claims, _ = parts(good)
    for signature in ("", parts(good)[2]):
        token = f"{part(header | {'alg': algorithm})}.{part(claims)}.{signature}"
        await assert_refused(open_client(), token)


async def test_attack_signature_left_out(open_client: Opener, good: str) -> None:
    await assert_refused(open_client(), good.rpartition(".")[0] + ".")
    await assert_refused(open_client(), good.rpartition(".")[0])


async def test_attack_claims_changed_under_the_old_signature(
    open_client: Opener, good: str, admin: User
) -> None:
    header, claims, signature = parts(good)
    forged = f"{part(header)}.{part(claims | {'sub': str(admin.id)})}.{signature}"
    await assert_refused(open_client(), forged)


async def test_attack_each_changed_bit_of_the_signature_is_refused(
    open_client: Opener, good: str
) -> None:
    head, _, signature = good.rpartition(".")
    raw = bytearray(base64.urlsafe_b64decode(signature + "="))
    raw[0] ^= 1
    forged = base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode()
    await assert_refused(open_client(), f"{head}.{forged}")


def resign(good: str, key: str, algorithm: str = "HS256", **changes: Any) -> str:
    """Sign changed claims. The prefix `header_` marks changes of the header."""
    header, claims, _ = parts(good)
    for name, value in changes.items():
        target = header if name.startswith("header_") else claims
        target[name.removeprefix("header_")] = value
    return jwt.encode(claims, key, algorithm=algorithm, headers=header | {"alg": algorithm})


async def test_attack_key_of_ones_own(open_client: Opener, good: str) -> None:
    await assert_refused(open_client(), resign(good, ATTACKERS_KEY))


@pytest.mark.filterwarnings("ignore:The HMAC key:jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize("key", ["secret", "changeme", "\0" * 32])
async def test_attack_guessed_key(open_client: Opener, good: str, key: str) -> None:
    await assert_refused(open_client(), resign(good, key))


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
async def test_attack_other_algorithm_with_the_right_key(
    open_client: Opener, good: str, settings: Settings, algorithm: str
) -> None:
    key = settings.secret_key.get_secret_value()
    await assert_refused(open_client(), resign(good, key, algorithm))


async def test_attack_key_confusion_by_an_asymmetric_algorithm(
    open_client: Opener, good: str
) -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    header, claims, _ = parts(good)
    token = jwt.encode(claims, private, algorithm="RS256", headers=header | {"alg": "RS256"})
    await assert_refused(open_client(), token)


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c"])
async def test_attack_key_brought_along_in_the_header(
    open_client: Opener, good: str, name: str
) -> None:
    encoded = base64.urlsafe_b64encode(ATTACKERS_KEY.encode()).decode()
    brought: Any = {
        "jwk": {"kty": "oct", "k": encoded},
        "jku": "https://attacker.example/keys.json",
        "x5u": "https://attacker.example/key.pem",
        "x5c": [encoded],
    }[name]
    changes: dict[str, Any] = {f"header_{name}": brought}
    await assert_refused(open_client(), resign(good, ATTACKERS_KEY, **changes))


@pytest.mark.parametrize(
    "kid",
    ["", "../../../../dev/null", "' UNION SELECT 'key", "0" * 100_000, None, 7, ["a"], {"a": 1}],
    ids=str,
)
async def test_attack_key_id_that_names_another_key(
    open_client: Opener, good: str, kid: object
) -> None:
    header, claims, _ = parts(good)
    signed = jwt.encode(claims, ATTACKERS_KEY, algorithm="HS256", headers=header)
    token = f"{part(header | {'kid': kid})}.{signed.partition('.')[2]}"
    if len(token) < 50_000:
        await assert_refused(open_client(), token)
    else:
        assert not await is_signed_in(open_client(), {"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"exp": 1_600_000_000}, id="expired"),
        pytest.param({"exp": "soon"}, id="expires in words"),
        pytest.param({"nbf": 4_000_000_000}, id="not valid yet"),
        pytest.param({"iat": 4_000_000_000}, id="issued in the future"),
        pytest.param({"aud": "another-service"}, id="for another audience"),
        pytest.param({"aud": ["another-service"]}, id="for a list of other audiences"),
        pytest.param({"iss": "another-issuer"}, id="by another issuer"),
        pytest.param({"header_typ": "JWT"}, id="an id token"),
        pytest.param({"header_typ": "logout+jwt"}, id="a logout token"),
        pytest.param({"typ": "refresh"}, id="a token of another use"),
        pytest.param({"gen": 99}, id="of a generation to come"),
        pytest.param({"gen": True}, id="of a generation that is true"),
        pytest.param({"sid": "0"}, id="of no session"),
        pytest.param({"sid": str(2**40)}, id="of an unknown session"),
        pytest.param({"sid": "1 OR 1=1"}, id="of an injected session"),
        pytest.param({"sid": None}, id="without a session"),
        pytest.param({"auth_time": None}, id="without the time of the sign-in"),
        pytest.param({"auth_time": "0"}, id="of a sign-in at a time in words"),
        pytest.param({"amr": "pwd"}, id="of methods that are no list"),
        pytest.param({"sub": "1 OR 1=1"}, id="of an injected subject"),
        pytest.param({"sub": "-1"}, id="of a negative subject"),
        pytest.param({"sub": str(2**70)}, id="of a subject beyond bigint"),
        pytest.param({"sub": "9007199254740991"}, id="of a user who never was"),
    ],
)
async def test_attack_token_that_our_own_key_has_signed_for_something_else(
    open_client: Opener, good: str, settings: Settings, changes: dict[str, Any]
) -> None:
    token = resign(good, settings.secret_key.get_secret_value(), **changes)
    await assert_refused(open_client(), token)


async def test_attack_token_of_a_key_that_was_retired(open_client: Opener, good: str) -> None:
    client = open_client(secret_key=SecretStr(ATTACKERS_KEY))
    await assert_refused(client, good)


async def test_attack_token_after_its_user_was_deleted(
    open_client: Opener, good: str, client: httpx.AsyncClient, ann: User
) -> None:
    assert (await client.delete(f"/users/{ann.id}")).status_code == 204
    await assert_refused(open_client(), good)


async def test_attack_token_after_signing_out_everywhere(open_client: Opener, good: str) -> None:
    await open_client().delete("/auth/sessions", headers={"Authorization": f"Bearer {good}"})
    await assert_refused(open_client(), good)


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize("how", ["logout", "device", "reuse", "administrator"])
async def test_attack_access_token_after_its_session_has_ended(
    open_client: Opener, client: httpx.AsyncClient, ann: User, how: str
) -> None:
    """The token of another device of the same user stays valid, except if all were ended."""
    stolen, other = [(await sign_in(open_client())).json() for _ in range(2)]
    renewed = (await refresh(open_client(), stolen["refresh_token"])).json()
    headers = {"Authorization": f"Bearer {other['access_token']}"}
    if how == "logout":
        await open_client().post("/auth/logout", data={"refresh_token": renewed["refresh_token"]})
    elif how == "device":
        path = f"/auth/sessions/{stolen['session_id']}"
        assert (await open_client().delete(path, headers=headers)).status_code == 204
    elif how == "reuse":
        reused = await refresh(open_client(EVES_ADDRESS), stolen["refresh_token"])
        assert reused.status_code == 401
    else:
        assert (await client.delete(f"/users/{ann.id}/sessions")).status_code == 204

    for tokens in (stolen, renewed):
        await assert_refused(open_client(), tokens["access_token"])
    assert await is_signed_in(open_client(), headers) == (how != "administrator")


@pytest.mark.usefixtures("ann")
async def test_attack_access_token_beyond_the_end_of_its_session(
    open_client: Opener, session: AsyncSession
) -> None:
    token = (await sign_in(open_client())).json()["access_token"]
    await session.execute(update(LoginSession).values(expires_at=func.now()))
    await session.commit()

    await assert_refused(open_client(), token)


async def test_attack_access_token_with_the_session_of_another(
    open_client: Opener, make: Factory, good: str, eve: User, settings: Settings
) -> None:
    eves = parts(await make_access_token(make, eve, settings))[1]["sid"]
    await assert_refused(
        open_client(), resign(good, settings.secret_key.get_secret_value(), sid=eves)
    )


@pytest.mark.usefixtures("ann")
async def test_attack_refresh_token_as_access_token_and_the_other_way_round(
    open_client: Opener,
) -> None:
    response = await sign_in(open_client())

    await assert_refused(open_client(), response.json()["refresh_token"])
    assert (await refresh(open_client(), response.json()["access_token"][:255])).status_code == 401


@pytest.mark.usefixtures("ann")
async def test_attack_mailed_token_as_access_or_refresh_token(
    open_client: Opener, mailbox: Mailbox
) -> None:
    await open_client().post("/auth/password-reset", json={"email": EMAIL})

    await assert_refused(open_client(), mailbox.token())
    assert (await refresh(open_client(), mailbox.token())).status_code == 401


async def test_attack_token_outside_of_the_header(open_client: Opener, good: str) -> None:
    """Tokens in URLs would be logged, and tokens in cookies sent by pages of other sites."""
    client = open_client()
    for name in ("access_token", "token", "Authorization"):
        assert (await client.get(f"/users/me?{name}={good}")).status_code == 401
        cookie = {"Cookie": f"{name}={good}"}
        assert (await client.get("/users/me", headers=cookie)).status_code == 401


async def test_attack_second_authorization_header(open_client: Opener, good: str) -> None:
    for other in (b"Bearer x", b"Basic YW5uOng="):
        headers = [(b"Authorization", other), (b"Authorization", f"Bearer {good}".encode())]
        assert (await open_client().get("/users/me", headers=headers)).status_code == 401


# Refresh tokens.


async def pass_time(session: AsyncSession, seconds: int) -> None:
    age = timedelta(seconds=seconds)
    await session.execute(update(LoginSession).values(last_used_at=LoginSession.last_used_at - age))
    await session.commit()


@pytest.mark.usefixtures("ann")
async def test_attack_refresh_replay(open_client: Opener, session: AsyncSession) -> None:
    stolen = (await sign_in(open_client())).json()["refresh_token"]
    owners = (await refresh(open_client(), stolen)).json()["refresh_token"]
    await pass_time(session, 11)

    assert (await refresh(open_client(EVES_ADDRESS), stolen)).status_code == 401
    assert (await refresh(open_client(), owners)).status_code == 401


@pytest.mark.usefixtures("ann")
async def test_attack_refresh_replay_within_the_grace_from_elsewhere(open_client: Opener) -> None:
    stolen = (await sign_in(open_client())).json()["refresh_token"]
    await refresh(open_client(), stolen)

    assert (await refresh(open_client(EVES_ADDRESS), stolen)).status_code == 401


@pytest.mark.usefixtures("ann")
async def test_attack_refresh_before_the_owner_does(open_client: Opener) -> None:
    """The thief is first. The owner's next refresh ends the thief's session."""
    stolen = (await sign_in(open_client())).json()["refresh_token"]
    thiefs = (await refresh(open_client(EVES_ADDRESS), stolen)).json()["refresh_token"]

    assert (await refresh(open_client(), stolen)).status_code == 401
    assert (await refresh(open_client(EVES_ADDRESS), thiefs)).status_code == 401


async def test_attack_parallel_refresh_makes_no_second_family(
    live_client: httpx.AsyncClient,
    live_session: AsyncSession,
    make_live: Factory,
    settings: Settings,
) -> None:
    hashed_password = await hash_password(SecretStr(PASSWORD), settings)
    ann = await make_live.user(email=EMAIL, hashed_password=hashed_password)
    token = (await sign_in(live_client)).json()["refresh_token"]

    responses = await asyncio.gather(*(refresh(live_client, token) for _ in range(8)))

    assert len({response.json()["refresh_token"] for response in responses}) == 1
    sessions = select(func.count()).where(LoginSession.user_id == ann.id)
    assert await live_session.scalar(sessions) == 1


async def test_attack_refresh_token_made_of_two(open_client: Opener, eve: User) -> None:
    """The key of Ann's session with the secret of Eve's own."""
    anns = RefreshToken.parse((await sign_in(open_client())).json()["refresh_token"])
    eves = RefreshToken.parse((await sign_in(open_client(), EVE)).json()["refresh_token"])
    assert anns
    assert eves

    mixed = RefreshToken(anns.session_key, eves.secret)

    assert (await refresh(open_client(EVES_ADDRESS), str(mixed))).status_code == 401


@pytest.mark.usefixtures("ann")
async def test_attack_guessed_refresh_tokens_end_nobodys_session(open_client: Opener) -> None:
    token = (await sign_in(open_client())).json()["refresh_token"]
    for _ in range(20):
        guess = str(RefreshToken.new())
        assert (await refresh(open_client(EVES_ADDRESS), guess)).status_code == 401
        await open_client(EVES_ADDRESS).post("/auth/logout", data={"refresh_token": guess})

    assert (await refresh(open_client(), token)).status_code == 200


@pytest.mark.usefixtures("ann")
async def test_attack_next_refresh_token_derived_from_a_stolen_one(
    open_client: Opener, session: AsyncSession
) -> None:
    """Digests from the database and an old token are not enough: the service's key is missing."""
    stolen = RefreshToken.parse((await sign_in(open_client())).json()["refresh_token"])
    assert stolen
    await refresh(open_client(), str(stolen))
    row = (await session.scalars(select(LoginSession))).one()
    guesses = [
        stolen.successor(SecretStr(ATTACKERS_KEY)),
        RefreshToken(row.key, row.secret_digest),
        RefreshToken(row.key, row.previous_digest or b""),
    ]

    assert row.secret_digest not in {guess.digest for guess in guesses}


@pytest.mark.usefixtures("ann")
async def test_attack_refresh_after_logout(open_client: Opener) -> None:
    token = (await sign_in(open_client())).json()["refresh_token"]
    await open_client().post("/auth/logout", data={"refresh_token": token})

    assert (await refresh(open_client(), token)).status_code == 401


@pytest.mark.parametrize("how", ["deactivate", "demote", "delete"])
async def test_attack_refresh_after_access_was_taken_away(
    open_client: Opener, client: httpx.AsyncClient, ann: User, session: AsyncSession, how: str
) -> None:
    await session.execute(update(User).where(User.id == ann.id).values(role="admin"))
    await session.commit()
    token = (await sign_in(open_client())).json()["refresh_token"]
    if how == "delete":
        await client.delete(f"/users/{ann.id}")
    else:
        change = {"is_active": False} if how == "deactivate" else {"role": "user"}
        assert (await client.patch(f"/users/{ann.id}/access", json=change)).status_code == 200

    assert (await refresh(open_client(), token)).status_code == 401


@pytest.mark.usefixtures("ann")
async def test_attack_thief_of_a_session_keeps_it_beyond_a_new_password(
    open_client: Opener, mailbox: Mailbox
) -> None:
    thief = await sign_in(open_client(EVES_ADDRESS))
    await open_client().post("/auth/password-reset", json={"email": EMAIL})
    body = {"token": mailbox.token(), "new_password": NEW_PASSWORD}
    await open_client().post("/auth/password-reset/confirm", json=body)

    assert (await refresh(open_client(), thief.json()["refresh_token"])).status_code == 401
    assert not await is_signed_in(open_client(), signed_in(thief))


# One-time tokens.


async def reset_token(open_client: Opener, mailbox: Mailbox, email: str = EMAIL) -> str:
    await open_client().post("/auth/password-reset", json={"email": email})
    return mailbox.token()


async def confirm(client: httpx.AsyncClient, token: str) -> int:
    body = {"token": token, "new_password": NEW_PASSWORD}
    return (await client.post("/auth/password-reset/confirm", json=body)).status_code


@pytest.mark.usefixtures("ann")
async def test_attack_reset_token_reuse(open_client: Opener, mailbox: Mailbox) -> None:
    token = await reset_token(open_client, mailbox)

    assert [await confirm(open_client(), token) for _ in range(2)] == [204, 403]


async def test_attack_reset_token_used_by_many_at_once(
    live_client: httpx.AsyncClient, make_live: Factory, mailbox: Mailbox
) -> None:
    await make_live.user(email=EMAIL)
    await live_client.post("/auth/password-reset", json={"email": EMAIL})

    statuses = await asyncio.gather(*(confirm(live_client, mailbox.token()) for _ in range(8)))

    # 422: the new password is the one that another of them has just set.
    assert Counter(statuses)[204] == 1
    assert set(statuses) <= {204, 403, 422}


@pytest.mark.usefixtures("ann")
async def test_attack_token_for_one_purpose_used_for_another(
    open_client: Opener, mailbox: Mailbox, client: httpx.AsyncClient
) -> None:
    await open_client().post("/auth/verify-email", json={"email": EMAIL})
    verify = mailbox.token()
    reset = await reset_token(open_client, mailbox)
    await client.post("/auth/invitations", json={"email": EMAIL})
    invitation = mailbox.token()

    assert await confirm(open_client(), verify) == 403
    assert await confirm(open_client(), invitation) == 403
    for token in (reset, invitation):
        body = {"token": token, "password": PASSWORD}
        response = await open_client().post("/auth/verify-email/confirm", json=body)
        assert response.status_code == 403
    for token in (reset, verify):
        registration = new_user(email=EVE, invitation=token)
        assert (await open_client().post("/users", json=registration)).status_code == 403


@pytest.mark.usefixtures("ann")
async def test_attack_stored_digest_sent_as_the_token(
    open_client: Opener, mailbox: Mailbox, session: AsyncSession
) -> None:
    """The contents of the table, such as in a backup, are useless to a thief."""
    await reset_token(open_client, mailbox)
    digest = (await session.scalars(select(OneTimeToken.digest))).one()

    for text in (digest.hex(), base64.urlsafe_b64encode(digest).rstrip(b"=").decode()):
        assert await confirm(open_client(), text) == 403


async def test_attack_reset_sent_to_the_address_before(
    open_client: Opener, mailbox: Mailbox, client: httpx.AsyncClient, ann: User
) -> None:
    """A token sent to Ann's old address, which Eve has registered since, is not valid any more."""
    token = await reset_token(open_client, mailbox)
    await client.patch(f"/users/{ann.id}", json={"email": "ann@example.org"})
    await client.post("/users", json=new_user(password=NEW_PASSWORD))

    assert await confirm(open_client(), token) == 403


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize("header", ["Host", "X-Forwarded-Host", "Origin", "Referer"])
async def test_attack_link_to_a_site_of_the_attackers_choice(
    open_client: Opener, mailbox: Mailbox, header: str
) -> None:
    client = open_client(frontend_url="https://app.example.com")
    value = "attacker.example" if "ost" in header else "https://attacker.example/"
    await client.post("/auth/password-reset", json={"email": EMAIL}, headers={header: value})

    assert all("attacker" not in mail.text for mail in mailbox.mails)
    assert all("https://app.example.com/password-reset#" in mail.text for mail in mailbox.mails)


@pytest.mark.parametrize(
    "email",
    [
        f"{EMAIL}\nBcc: {EVE}",
        f"{EMAIL}\r\nBcc: {EVE}",
        f"{EMAIL}%0aBcc:{EVE}",
        f"{EMAIL},{EVE}",
        f"{EMAIL} {EVE}",
        f"{EMAIL}\u2028Bcc: {EVE}",
        f"Ann <{EMAIL}>, {EVE}",
        f'"{EVE}"@example.com\n',
    ],
)
async def test_attack_header_injection_in_mail(
    open_client: Opener, mailbox: Mailbox, ann: User, email: str
) -> None:
    for path in ("/auth/password-reset", "/auth/verify-email"):
        response = await open_client().post(path, json={"email": email})
        assert response.status_code == 422
    body = new_user(email=email)
    response = await open_client(require_verified_email=True).post("/users", json=body)

    assert response.status_code in {202, 422}
    assert all(EVE not in mail.to.replace(f'"{EVE}"', "") for mail in mailbox.mails)


async def test_attack_text_of_ones_own_in_a_mail_of_ours(
    open_client: Opener, mailbox: Mailbox
) -> None:
    text = "Send your password to https://attacker.example"
    client = open_client(require_verified_email=True)
    await client.post("/users", json=new_user(display_name=f"Ann\r\n\r\n{text}"))
    await client.post("/users", json=new_user(display_name=text))

    assert len(mailbox.mails) == 1
    assert "attacker" not in mailbox.mails[0].text + mailbox.mails[0].subject


@pytest.mark.parametrize(
    "forgery", ["\nINFO:     app.audit: sign_in user_id=1", "\x1b[2K", "\u202e"]
)
async def test_attack_line_of_ones_own_in_the_log(
    open_client: Opener, ann: User, settings: Settings, forgery: str, make: Factory
) -> None:
    client = open_client()
    register = await client.post("/users", json=new_user(display_name=f"Eve{forgery}"))
    rename = await client.patch(
        "/users/me",
        json={"display_name": f"Ann{forgery}"},
        headers=await bearer(make, ann, settings),
    )

    assert (register.status_code, rename.status_code) == (422, 422)


# Unicode.

LOOK_ALIKES: Final = [
    "\u0430nn@example.com",  # Cyrillic
    "a\u200bnn@example.com",  # with a zero-width space
    "ann@ex\u0430mple.com",
    "ann@example\uff0ecom",
    "\uff41nn@example.com",  # with a full-width letter
    "\u00e1nn@example.com",
]


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize("email", LOOK_ALIKES)
async def test_attack_reset_by_an_address_that_looks_alike(
    open_client: Opener, mailbox: Mailbox, email: str
) -> None:
    await open_client().post("/auth/password-reset", json={"email": email})

    assert {mail.to for mail in mailbox.mails} <= {EMAIL}


@pytest.mark.parametrize("email", LOOK_ALIKES)
async def test_attack_account_with_an_address_that_looks_alike(
    open_client: Opener, ann: User, email: str
) -> None:
    created = await open_client().post("/users", json=new_user(email=email, password=NEW_PASSWORD))
    response = await sign_in(open_client(), email, NEW_PASSWORD)

    if created.status_code == 201:
        me = await open_client().get("/users/me", headers=signed_in(response))
        assert me.json()["id"] != ann.id
    else:
        assert created.status_code in {409, 422}
        assert response.status_code == 401
    assert (await sign_in(open_client(), EMAIL, NEW_PASSWORD)).status_code == 401


async def test_attack_dotless_i(open_client: Opener, make: Factory, mailbox: Mailbox) -> None:
    """Its upper case is an I, so some databases would find the account of someone else."""
    await make.user(email="admin@example.com")
    for email in ("adm\u0131n@example.com", "ADM\u0130N@example.com"):
        await open_client().post("/auth/password-reset", json={"email": email})

    assert {mail.to for mail in mailbox.mails} <= {"admin@example.com"}


# Enumeration of accounts. For enumeration by time see test_enumeration_by_time.py.


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize("path", ["/auth/password-reset", "/auth/verify-email"])
async def test_attack_enumeration_by_asking_for_mail(open_client: Opener, path: str) -> None:
    responses = [
        await open_client().post(path, json={"email": email})
        for email in (EMAIL, "nobody@example.com")
    ]

    assert {response.status_code for response in responses} == {202}
    assert len({response.content for response in responses}) == 1


@pytest.mark.usefixtures("ann")
async def test_attack_enumeration_by_signing_in(open_client: Opener) -> None:
    responses = [
        await sign_in(open_client(), email, "wrong password")
        for email in (EMAIL, "nobody@example.com")
    ]

    assert {response.status_code for response in responses} == {401}
    assert len({without_id(response) for response in responses}) == 1


def without_id(response: httpx.Response) -> bytes:
    """Return the body without the id of the request, in which any two differ."""
    return response.content.replace(response.headers["x-request-id"].encode(), b"")


@pytest.mark.usefixtures("ann")
async def test_attack_enumeration_by_registering_and_signing_in(open_client: Opener) -> None:
    client = open_client(require_verified_email=True)
    responses = []
    for email in (EMAIL, "new@example.com"):
        body = new_user(email=email, password=NEW_PASSWORD)
        responses.append(
            (
                without_id(await client.post("/users", json=body)),
                without_id(await sign_in(client, email, NEW_PASSWORD)),
            )
        )

    assert len(set(responses)) == 1


@pytest.mark.usefixtures("ann")
async def test_attack_enumeration_by_the_limit_of_tries(open_client: Opener) -> None:
    client = open_client(EVES_ADDRESS, password_tries_per_account=2)
    statuses = [
        [(await sign_in(client, email, "wrong")).status_code for _ in range(4)]
        for email in (EMAIL, "nobody@example.com")
    ]

    assert statuses == [[401, 401, 429, 429]] * 2


async def test_attack_enumeration_by_ids(
    open_client: Opener, eve: User, settings: Settings, ann: User, make: Factory
) -> None:
    for method in ("GET", "PATCH", "DELETE"):
        responses = [
            await open_client().request(
                method,
                f"/users/{user_id}",
                headers=await bearer(make, eve, settings),
                json=None if method != "PATCH" else {},
            )
            for user_id in (ann.id, 2**40)
        ]
        assert {response.status_code for response in responses} == {403}


# Escalation of privileges.


@pytest.mark.parametrize(
    "field",
    [
        {"role": "admin"},
        {"is_active": True},
        {"is_email_verified": True},
        {"pending_email": EMAIL},
        {"token_generation": 7},
        {"hashed_password": "x"},
        {"id": 1},
        {"version": 1},
        {"user": {"role": "admin"}},
        {"role\u0000": "admin"},
    ],
    ids=str,
)
async def test_attack_mass_assignment(
    open_client: Opener,
    eve: User,
    settings: Settings,
    session: AsyncSession,
    field: dict[str, Any],
    make: Factory,
) -> None:
    registered = await open_client().post("/users", json=new_user(email="new@example.com") | field)
    patched = await open_client().patch(
        "/users/me", json=field, headers=await bearer(make, eve, settings)
    )

    assert (registered.status_code, patched.status_code) == (422, 422)
    admins = select(func.count()).select_from(User).where(User.role == "admin")
    assert await session.scalar(admins) == 0


async def test_attack_promotion_of_oneself(
    open_client: Opener, eve: User, settings: Settings, make: Factory
) -> None:
    response = await open_client().patch(
        f"/users/{eve.id}/access", json={"role": "admin"}, headers=await bearer(make, eve, settings)
    )

    assert response.status_code == 403


async def test_attack_role_claimed_in_the_token(
    open_client: Opener, good: str, settings: Settings
) -> None:
    key = settings.secret_key.get_secret_value()
    token = resign(good, key, role="admin", roles=["admin"], scope="admin")
    response = await open_client().get("/users", headers={"Authorization": f"Bearer {token}"})

    assert response.status_code == 403


async def test_attack_idor_on_every_id(
    open_client: Opener, make: Factory, eve: User, settings: Settings, ann: User
) -> None:
    """Eve calls every endpoint with an id in its path, with ids of Ann's rows.

    Except those that anybody may call, and those by which a user acts on what is their own.
    """
    guarded = [
        endpoint
        for endpoint in stated_endpoints()
        if "{" in endpoint.name
        and expected_statuses(endpoint)[CALLERS.index("another user")] >= 400
    ]
    for endpoint in guarded:
        # An owner may be allowed only one row, so each has an owner of its own.
        owner = ann if "{user_id}" in endpoint.name else await make.user()
        request = await endpoint.request(make, owner)
        response = await open_client().request(**request, headers=await bearer(make, eve, settings))

        assert response.status_code in {403, 404}, endpoint.name
    assert len(guarded) >= 4
    assert (await sign_in(open_client())).status_code == 200


async def test_attack_something_made_in_anothers_name(
    probes: httpx.AsyncClient, eve: User, settings: Settings, ann: User, make: Factory
) -> None:
    body = {"owner_id": ann.id, "name": "Name"}
    response = await probes.post("/probes", json=body, headers=await bearer(make, eve, settings))

    assert response.status_code == 403


@pytest.mark.parametrize(
    "header", ["X-HTTP-Method-Override", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-User"]
)
async def test_attack_request_rewritten_by_a_header(
    open_client: Opener, admin: User, header: str
) -> None:
    for value in ("DELETE", "/users/me", str(admin.id)):
        response = await open_client().get("/users", headers={header: value})
        assert response.status_code == 401


async def test_attack_response_of_another_by_their_idempotency_key(
    probes: httpx.AsyncClient, eve: User, settings: Settings, ann: User, make: Factory
) -> None:
    body = {"owner_id": ann.id, "name": "Name"}
    key = {"Idempotency-Key": "1"}
    mine = await probes.post("/probes", json=body, headers=await bearer(make, ann, settings) | key)
    hers = await probes.post("/probes", json=body, headers=await bearer(make, eve, settings) | key)

    assert (mine.status_code, hers.status_code) == (201, 403)


@pytest.mark.usefixtures("ann")
async def test_attack_tokens_from_the_table_of_stored_responses(
    open_client: Opener, session: AsyncSession
) -> None:
    client = open_client()
    client.headers["Idempotency-Key"] = "1"
    first, second = await sign_in(client), await sign_in(client)
    await refresh(client, first.json()["refresh_token"])

    assert first.json()["refresh_token"] != second.json()["refresh_token"]
    assert await session.scalar(select(func.count()).select_from(IdempotencyKey)) == 0


async def test_attack_password_guessed_from_the_digest_of_a_registration(
    open_client: Opener, session: AsyncSession
) -> None:
    """The thief of a backup knows the key, the address and everything else but the password."""
    body = new_user(email="new@example.com", password="Sommer2026!")
    response = await open_client().post("/users", json=body, headers={"Idempotency-Key": "1"})
    stored = (await session.scalars(select(IdempotencyKey))).one()

    sent = response.request.content
    request = hashlib.sha256(b"POST /users\n" + sent).digest()
    guesses = {
        request,
        hashlib.sha256(sent).digest(),
        hmac.digest(b"", b"idempotency\0" + b"1\0" + request, "sha256"),
        hmac.digest(b"1", request, "sha256"),
    }
    assert stored.fingerprint not in guesses
    assert bytes.fromhex(stored.key) not in guesses
    assert (stored.status, stored.headers, stored.body) == (0, [], b"")


async def test_registration_repeated_with_all_its_values_does_nothing(
    open_client: Opener, mailbox: Mailbox
) -> None:
    client = open_client(EVES_ADDRESS)
    client.headers["Idempotency-Key"] = "1"
    body = new_user(email="new@example.com")
    first, again = [await client.post("/users", json=body) for _ in range(2)]

    assert (first.status_code, again.status_code) == (201, 409)
    assert again.json()["code"] == "ALREADY_PROCESSED"
    assert "new@example.com" not in again.text


async def test_attack_key_of_a_stranger_guessed(open_client: Opener) -> None:
    """It reveals neither that it was used, nor for what, and nobody takes it from others."""
    key = {"Idempotency-Key": "1"}
    theirs = await open_client().post("/users", json=new_user(), headers=key)
    guesses = [
        await open_client(EVES_ADDRESS).post("/users", json=new_user(email=EVE), headers=headers)
        for headers in (key, {"Idempotency-Key": "2"})
    ]

    assert theirs.status_code == 201
    assert guesses[0].status_code == 201
    assert (guesses[1].status_code, guesses[1].json()["code"]) == (409, "EMAIL_TAKEN")


async def test_key_of_a_request_survives_a_new_secret_key(
    open_client: Opener, settings: Settings, admin_headers: dict[str, str]
) -> None:
    rotated: dict[str, Any] = {
        "secret_key": SecretStr("a-new-one-for-tests-0123456789-abcdefghijklmnopqrstuvwxyz"),
        "secret_key_previous": settings.secret_key,
    }
    named = {"Idempotency-Key": "1"} | admin_headers
    nobody = {"Idempotency-Key": "1"}
    first, other = new_user(), new_user(email="other@example.com")
    before = [
        await open_client().post("/users", json=first, headers=named),
        await open_client().post("/users", json=other, headers=nobody),
    ]
    after = [
        await open_client(**rotated).post("/users", json=first, headers=named),
        await open_client(**rotated).post("/users", json=other, headers=nobody),
    ]
    rotated["secret_key_previous"] = None
    forgotten = await open_client(**rotated).post("/users", json=other, headers=nobody)

    assert [response.status_code for response in before] == [201, 201]
    assert after[0].headers["idempotency-replayed"] == "true"
    assert after[1].json()["code"] == "ALREADY_PROCESSED"
    # Without the key nobody can compute what is stored of a request.
    assert forgotten.json()["code"] == "EMAIL_TAKEN"


async def test_stored_responses_go_with_their_user(
    probes: httpx.AsyncClient,
    ann: User,
    settings: Settings,
    session: AsyncSession,
    make: Factory,
) -> None:
    headers = await bearer(make, ann, settings)
    body = {"owner_id": ann.id, "name": "Name"}
    await probes.post("/probes", json=body, headers=headers | {"Idempotency-Key": "1"})
    stored = select(func.count()).select_from(IdempotencyKey)
    assert await session.scalar(stored) == 1

    assert (await probes.delete(f"/users/{ann.id}", headers=headers)).status_code == 204
    assert await session.scalar(stored) == 0


async def test_attack_email_changed_with_a_stolen_access_token(
    open_client: Opener, good: str, mailbox: Mailbox
) -> None:
    """A thief who changes the address could take the account over by a password reset."""
    headers = {"Authorization": f"Bearer {good}"}
    for extra in ({}, {"current_password": "guess"}, {"current_password": ""}):
        body = {"email": EVE} | extra
        assert (
            await open_client().patch("/users/me", json=body, headers=headers)
        ).status_code == 403
    await open_client().post("/auth/password-reset", json={"email": EVE})

    assert mailbox.mails == []


SENSITIVE: Final = [
    pytest.param("PATCH", "/users/{ann}/access", {"role": "admin"}, id="role"),
    pytest.param("PATCH", "/users/{ann}/access", {"is_active": False}, id="activity"),
    pytest.param("PATCH", "/users/{ann}", {"email": EVE.upper()}, id="address"),
    pytest.param("DELETE", "/users/{ann}", None, id="deletion"),
    pytest.param("DELETE", "/users/{admin}", None, id="deletion of oneself"),
]


def test_every_route_that_takes_a_fresh_sign_in_is_attacked(app: FastAPI) -> None:
    attacked = {
        f"{method} {re.sub('{.*?}', '{user_id}', str(path))}"
        for method, path, _ in (attack.values for attack in SENSITIVE)
    }

    taking = {name for name, route in routes(app).items() if depends_on(route, get_fresh_caller)}
    assert taking
    assert taking <= attacked


@pytest.mark.parametrize(("method", "path", "body"), SENSITIVE)
async def test_attack_sensitive_action_with_an_access_token_of_an_old_sign_in(
    open_client: Opener,
    session: AsyncSession,
    make: Factory,
    admin: User,
    ann: User,
    settings: Settings,
    mailbox: Mailbox,
    method: str,
    path: str,
    body: dict[str, Any] | None,
) -> None:
    """The token of an administrator is stolen, but neither password nor sign-in."""
    await make.user(role="admin")
    url = path.format(ann=ann.id, admin=admin.id)
    stolen, own = [
        await bearer(make, admin, settings, timedelta(minutes=minutes)) for minutes in (6, 4)
    ]

    refused = await open_client().request(method, url, json=body, headers=stolen)
    stored = await session.scalar(select(User).where(User.id == ann.id))
    mails = list(mailbox.mails)
    allowed = await open_client().request(method, url, json=body, headers=own)

    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == (
        'Bearer error="insufficient_user_authentication", max_age=300'
    )
    assert refused.json()["code"] == "INSUFFICIENT_USER_AUTHENTICATION"
    assert stored
    assert (stored.role, stored.is_active, stored.email) == ("user", True, EMAIL)
    assert mails == []
    assert allowed.status_code in {200, 204}


async def test_attack_old_sign_in_renewed_by_a_refresh(
    open_client: Opener, session: AsyncSession, ann: User
) -> None:
    token = (await sign_in(open_client())).json()["refresh_token"]
    earlier = LoginSession.created_at - timedelta(minutes=6)
    await session.execute(update(LoginSession).values(created_at=earlier))
    await session.commit()
    renewed = await refresh(open_client(), token)

    response = await open_client().delete(f"/users/{ann.id}", headers=signed_in(renewed))

    assert response.status_code == 401
    assert await is_signed_in(open_client(), signed_in(renewed))


async def test_attack_address_of_another_changed_with_a_guessed_password(
    open_client: Opener,
    session: AsyncSession,
    make: Factory,
    ann: User,
    eve: User,
    settings: Settings,
    verified: list[str],
) -> None:
    """Whoever may not do it at all is refused before the password is tried."""
    administrator = await make.user(role="admin", hashed_password=ann.hashed_password)
    old = timedelta(hours=1)
    statuses = []
    for user, password in ((eve, PASSWORD), (administrator, "a guess"), (administrator, PASSWORD)):
        statuses.append(
            (
                await open_client().patch(
                    f"/users/{ann.id}",
                    json={"email": "new@example.com", "current_password": password},
                    headers=await bearer(make, user, settings, old),
                )
            ).status_code
        )

    assert statuses == [403, 403, 200]
    assert len(verified) == 2
    stored = await session.scalar(select(User.email).where(User.id == ann.id))
    assert stored == "new@example.com"


async def test_attack_password_changed_with_a_stolen_access_token(
    open_client: Opener, good: str
) -> None:
    headers = {"Authorization": f"Bearer {good}"}
    client = open_client(EVES_ADDRESS)
    statuses = []
    for number in range(12):
        body = {"current_password": f"guess {number}", "new_password": NEW_PASSWORD}
        statuses.append(
            (await client.post("/auth/password", json=body, headers=headers)).status_code
        )

    assert statuses == [403] * 10 + [429] * 2
    assert (await sign_in(open_client())).status_code == 200


async def test_attack_account_taken_before_its_owner_comes(
    open_client: Opener, mailbox: Mailbox
) -> None:
    client = open_client(require_verified_email=True)
    await client.post("/users", json=new_user(password="password of the thief"))
    before = await sign_in(client, EMAIL, "password of the thief")
    await client.post("/users", json=new_user())
    assert await confirm(client, mailbox.token()) == 204

    assert before.status_code == 401
    assert (await sign_in(client, EMAIL, "password of the thief")).status_code == 401
    assert (await sign_in(client, EMAIL, NEW_PASSWORD)).status_code == 200


async def test_attack_account_that_its_victim_confirms(
    open_client: Opener, mailbox: Mailbox
) -> None:
    """Eve registers Ann's address with a password of her own, and Ann opens the link."""
    client = open_client(require_verified_email=True)
    await client.post("/users", json=new_user(password="password of the thief"))
    link = {"token": mailbox.token()}
    path = "/auth/verify-email/confirm"

    assert (await client.post(path, json=link)).status_code == 422
    assert (await client.post(path, json=link | {"password": PASSWORD})).status_code == 403
    assert (await sign_in(client, EMAIL, "password of the thief")).status_code == 401
    assert await confirm(client, await reset_token(open_client, mailbox)) == 204
    assert (await sign_in(client, EMAIL, NEW_PASSWORD)).status_code == 200


async def test_attack_password_guessed_with_the_link_of_a_mail(
    open_client: Opener, make: Factory, eve: User, settings: Settings, mailbox: Mailbox
) -> None:
    """A stranger gets the mail because Eve has mistyped her new address."""
    client = open_client(mail_delivery="smtp", password_tries_per_account=3)
    body = {"email": "typo@example.com", "current_password": PASSWORD}
    await client.patch("/users/me", json=body, headers=await bearer(make, eve, settings))
    link = {"token": mailbox.token()}
    stranger = open_client(EVES_ADDRESS, mail_delivery="smtp", password_tries_per_account=3)
    statuses = [
        (
            await stranger.post("/auth/verify-email/confirm", json=link | {"password": guess})
        ).status_code
        for guess in ("a", "b", "c", "d", PASSWORD)
    ]

    assert statuses == [403] * 3 + [429] * 2
    assert mailbox.mails[-1].to == "typo@example.com"


async def test_attack_password_guessed_with_the_link_of_a_mail_from_many_addresses(
    open_client: Opener, make: Factory, eve: User, settings: Settings, mailbox: Mailbox
) -> None:
    body = {"email": "typo@example.com", "current_password": PASSWORD}
    client = open_client(mail_delivery="smtp")
    await client.patch("/users/me", json=body, headers=await bearer(make, eve, settings))
    guess = {"token": mailbox.token(), "password": "guess"}
    statuses = []
    for number in range(12):
        stranger = open_client(f"203.0.113.{number}", password_tries_per_account=1)
        response = await stranger.post("/auth/verify-email/confirm", json=guess)
        statuses.append(response.status_code)

    assert statuses == [403] * 10 + [429] * 2


async def test_attack_address_of_another_by_a_change(
    open_client: Opener, make: Factory, eve: User, settings: Settings, mailbox: Mailbox
) -> None:
    """Eve cannot read the mail of the address, so it does not become hers."""
    client = open_client(mail_delivery="smtp")
    body = {"email": "bob@example.com", "current_password": PASSWORD}
    changed = await client.patch("/users/me", json=body, headers=await bearer(make, eve, settings))
    bob = new_user(email="bob@example.com", password=NEW_PASSWORD)
    registered = await client.post("/users", json=bob)

    assert (changed.status_code, registered.status_code) == (200, 201)
    assert changed.json()["email"] == EVE
    assert (await sign_in(client, EVE)).status_code == 200
    assert (await sign_in(client, "bob@example.com")).status_code == 401
    link = {"token": mailbox.token(), "password": PASSWORD}
    assert (await client.post("/auth/verify-email/confirm", json=link)).status_code == 409
    assert (await sign_in(client, "bob@example.com", NEW_PASSWORD)).status_code == 200


@pytest.mark.usefixtures("ann")
async def test_attack_enumeration_by_changing_ones_own_address(
    open_client: Opener, make: Factory, settings: Settings, mailbox: Mailbox, eve: User
) -> None:
    bodies = []
    for email in (EMAIL, "free@example.com"):
        user = await make.user(email=f"of-{email}", hashed_password=eve.hashed_password)
        headers = await bearer(make, user, settings)
        client = open_client(require_verified_email=True, mail_delivery="smtp")
        body = {"email": email, "current_password": PASSWORD}
        patched = await client.patch("/users/me", json=body, headers=headers)
        read = await client.get("/users/me", headers=headers)
        told = [mail.to for mail in mailbox.mails]
        texts = [re.sub(r"#token=\S+", "", mail.text) for mail in mailbox.mails]
        mailbox.mails.clear()
        ours = {"id", "display_name", "created_at", "updated_at"}
        bodies.append(
            [
                (patched.status_code, patched.headers["etag"], sorted(patched.headers)),
                str({n: v for n, v in patched.json().items() if n not in ours}).replace(email, "x"),
                str({n: v for n, v in read.json().items() if n not in ours}).replace(email, "x"),
                [address.replace(email, "x") for address in told],
                texts,
            ]
        )

    assert bodies[0] == bodies[1]
    assert bodies[0][0][0] == 200


async def test_attack_address_changed_by_a_thief_before_the_owner_resets_the_password(
    open_client: Opener,
    make: Factory,
    eve: User,
    settings: Settings,
    mailbox: Mailbox,
    session: AsyncSession,
) -> None:
    client = open_client(mail_delivery="smtp")
    body = {"email": "thief@example.com", "current_password": PASSWORD}
    await client.patch("/users/me", json=body, headers=await bearer(make, eve, settings))
    link = {"token": mailbox.token()}
    assert await confirm(client, await reset_token(open_client, mailbox, EVE)) == 204

    for password in (PASSWORD, NEW_PASSWORD):
        response = await client.post(
            "/auth/verify-email/confirm", json=link | {"password": password}
        )
        assert response.status_code == 403
    assert await session.scalar(select(User.pending_email).where(User.id == eve.id)) is None


async def test_attack_link_of_another_replaced(
    open_client: Opener, make: Factory, eve: User, settings: Settings, mailbox: Mailbox
) -> None:
    """Eve enters the address that Bob is just about to confirm."""
    client = open_client(require_verified_email=True, mail_delivery="smtp")
    await client.post("/users", json=new_user(email="bob@example.com"))
    link = {"token": mailbox.token(), "password": PASSWORD}
    body = {"email": "bob@example.com", "current_password": PASSWORD}
    await client.patch("/users/me", json=body, headers=await bearer(make, eve, settings))

    assert (await client.post("/auth/verify-email/confirm", json=link)).status_code == 204
    assert (await sign_in(client, "bob@example.com")).status_code == 200


async def test_attack_race_for_an_address(
    app_with: Callable[..., FastAPI],
    live_database: Database,
    make_live: Factory,
    settings: Settings,
    mailbox: Mailbox,
) -> None:
    """Ten accounts confirm the same address at once. One gets it, and the others are told."""
    hashed_password = await hash_password(SecretStr(PASSWORD), settings)
    users = [await make_live.user(hashed_password=hashed_password) for _ in range(10)]
    app = app_with(mail_delivery="smtp", mails_per_account=100)
    app.state.database = live_database
    async with http_client(app) as client:
        links = []
        for user in users:
            body = {"email": EMAIL, "current_password": PASSWORD}
            response = await client.patch(
                "/users/me", json=body, headers=await bearer(make_live, user, settings)
            )
            assert response.status_code == 200
            links.append({"token": mailbox.token(), "password": PASSWORD})
        responses = await asyncio.gather(
            *(client.post("/auth/verify-email/confirm", json=link) for link in links)
        )
        losers = [response for response in responses if response.status_code == 409]

        assert Counter(response.status_code for response in responses) == {204: 1, 409: 9}
        assert {loser.json()["code"] for loser in losers} == {"EMAIL_TAKEN"}
        old = [await sign_in(client, user.email) for user in users]
        assert Counter(response.status_code for response in old) == {200: 9, 401: 1}
        assert (await sign_in(client)).status_code == 200


# Guessing and flooding.


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords that were hashed."""
    seen: list[str] = []
    verify = PasswordHash.verify_and_update

    def count(self: PasswordHash, password: str, hashed_password: str) -> Any:
        seen.append(password)
        return verify(self, password, hashed_password)

    monkeypatch.setattr(PasswordHash, "verify_and_update", count)
    return seen


@pytest.mark.usefixtures("ann")
async def test_attack_guesses_from_one_address(open_client: Opener, verified: list[str]) -> None:
    client = open_client(EVES_ADDRESS)
    responses = [await sign_in(client, EMAIL, f"guess {number}") for number in range(15)]
    right = await sign_in(client)

    assert [response.status_code for response in responses] == [401] * 10 + [429] * 5
    assert right.status_code == 429  # the limit does not reveal that a guess is right
    assert len(verified) == 10
    assert 1 <= int(right.headers["retry-after"]) <= 90


@pytest.mark.usefixtures("ann")
async def test_attack_guesses_in_other_spellings_of_the_address(open_client: Opener) -> None:
    client = open_client(EVES_ADDRESS, password_tries_per_account=3)
    spellings = (EMAIL, EMAIL.upper(), EMAIL.title(), "aNn@eXample.com", "aNN@example.com")
    statuses = [(await sign_in(client, spelling, "guess")).status_code for spelling in spellings]

    assert statuses == [401, 401, 401, 429, 429]


async def test_attack_guesses_in_all_spellings_that_the_database_takes_for_the_address(
    open_client: Opener, make: Factory, session: AsyncSession
) -> None:
    """To PostgreSQL a Kelvin sign is a K, and in some collations a dotted capital I is an I."""
    await make.user(email="kiki@example.com")
    point = func.generate_series(1, 0x10FFFF, type_=Integer).column_valued("point")
    lower = func.lower(func.chr(point))
    found = await session.execute(
        select(lower, func.chr(point)).where(~point.between(0xD800, 0xDFFF), lower.in_(["k", "i"]))
    )
    rows = found.all()
    letters = [[c for folded, c in rows if folded == letter] for letter in "kiki"]
    spellings = ["".join(word) for word in product(*letters)]
    client = open_client(EVES_ADDRESS)
    statuses = Counter(
        [
            (await sign_in(client, f"{spelling}@example.com", "guess")).status_code
            for spelling in spellings
        ]
    )

    assert len(spellings) > 15
    assert statuses == {401: 10, 429: len(spellings) - 10}


async def test_attack_limit_reset_by_signing_in_with_an_address_that_looks_alike(
    open_client: Opener, ann: User, make: Factory
) -> None:
    look_alike = "\uff41nn@example.com"
    await make.user(email=look_alike, hashed_password=ann.hashed_password)
    client = open_client(EVES_ADDRESS, password_tries_per_account=3)
    names = [EMAIL, EMAIL, look_alike, EMAIL, EMAIL]
    statuses = [
        (await sign_in(client, name, PASSWORD if name == look_alike else "guess")).status_code
        for name in names
    ]

    assert statuses == [401, 401, 200, 401, 429]


async def test_attack_many_guesses_at_once(
    live_client: httpx.AsyncClient, make_live: Factory, verified: list[str]
) -> None:
    await make_live.user(email=EMAIL)
    responses = await asyncio.gather(
        *(sign_in(live_client, EMAIL, f"guess {number}") for number in range(40))
    )

    assert sorted(response.status_code for response in responses) == [401] * 10 + [429] * 30
    assert len(verified) == 10


async def test_attempts_refused_by_a_full_queue_are_not_counted(
    app_with: Callable[..., FastAPI],
    live_database: Database,
    live_session: AsyncSession,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All ask for a place at the same time, before the first hash begins."""
    at_once = hashes_at_once(settings)
    app = app_with(password_queue_per_core=0)
    app.state.database = live_database
    go_on = threading.Event()

    def wait(self: PasswordHash, _password: str, _hashed: str) -> tuple[bool, None]:
        go_on.wait(30)
        return False, None

    monkeypatch.setattr(PasswordHash, "verify_and_update", wait)
    client = http_client(app)
    tries = [
        asyncio.create_task(sign_in(client, f"user{number}@example.com", "guess"))
        for number in range(30)
    ]
    shed = [await done for done in islice(asyncio.as_completed(tries), 30 - at_once)]
    go_on.set()
    checked = await asyncio.gather(*tries)

    assert {response.status_code for response in shed} == {503}
    assert [response.status_code for response in checked].count(401) == at_once
    counted = await live_session.scalar(select(func.count()).select_from(table("rate_limits")))
    # The address; each account, from this address and from all.
    assert counted == 1 + 2 * at_once


async def test_attack_enumeration_by_registering_between_two_guesses(
    open_client: Opener, mailbox: Mailbox, ann: User
) -> None:
    """Nothing may change which limit a guess counts against, the creation of an account included."""
    statuses = []
    for email, network in ((ann.email, "203.0.113.1"), ("free@example.com", "203.0.113.2")):
        client = open_client(network, require_verified_email=True, mail_delivery="smtp")
        guesses = [(await sign_in(client, email, "guess")).status_code for _ in range(10)]
        registered = await client.post("/users", json=new_user(email=email))
        again = await sign_in(client, email, "guess")
        statuses.append((guesses, registered.status_code, again.status_code))

    assert statuses[0] == statuses[1] == ([401] * 10, 202, 429)
    assert mailbox.mails


async def test_attack_mails_for_an_account_seen_by_a_change_of_address(
    open_client: Opener, mailbox: Mailbox, ann: User, eve: User, make: Factory, settings: Settings
) -> None:
    """Resets count for accounts only, so they must not decide what others see."""
    headers = await bearer(make, eve, settings)
    on = {"require_verified_email": True, "mail_delivery": "smtp"}
    statuses = []
    for email in (ann.email, "free@example.com"):
        for number in range(10):
            client = open_client(f"203.0.113.{number}", **on)
            for _ in range(5):
                await client.post("/auth/password-reset", json={"email": email})
        change = {"email": email, "current_password": PASSWORD}
        client = open_client("203.0.113.99", **on)
        statuses.append((await client.patch("/users/me", json=change, headers=headers)).status_code)

    assert statuses == [200, 200]
    assert mailbox.mails


async def test_attack_reset_held_shut_by_changes_of_address(
    open_client: Opener, mailbox: Mailbox, ann: User, eve: User, make: Factory, settings: Settings
) -> None:
    headers = await bearer(make, eve, settings)
    change = {"email": ann.email, "current_password": PASSWORD}
    for number in range(10):
        client = open_client(f"203.0.113.{number}", mail_delivery="smtp")
        for _ in range(5):
            await client.patch("/users/me", json=change, headers=headers)
    mailbox.mails.clear()

    reset = open_client("198.51.100.1", mail_delivery="smtp")
    await reset.post("/auth/password-reset", json={"email": ann.email})

    assert [mail.to for mail in mailbox.mails] == [ann.email]


async def test_attack_confirmation_held_shut_by_guesses_from_elsewhere(
    open_client: Opener, mailbox: Mailbox, ann: User
) -> None:
    client = open_client("198.51.100.1", mail_delivery="smtp")
    headers = signed_in(await sign_in(client))
    change = {"email": "new@example.com", "current_password": PASSWORD}
    await client.patch("/users/me", json=change, headers=headers)
    link = {"token": mailbox.token(), "password": PASSWORD}
    for number in range(10):
        elsewhere = open_client(f"203.0.113.{number}", mail_delivery="smtp")
        for _ in range(10):
            await sign_in(elsewhere, ann.email, "guess")

    assert (await client.post("/auth/verify-email/confirm", json=link)).status_code == 204


@pytest.mark.parametrize(("networks", "most"), [(1, 1), (12, 10)])
@pytest.mark.parametrize("change", ["password", "address"])
async def test_attack_notifications_to_an_address_of_somebody_else(
    open_client: Opener,
    mailbox: Mailbox,
    make: Factory,
    settings: Settings,
    change: str,
    networks: int,
    most: int,
) -> None:
    """The attacker has registered the address, which its owner has not verified."""
    hashed_password = await hash_password(SecretStr(PASSWORD), settings)
    user = await make.user(
        email="owner@example.com", hashed_password=hashed_password, is_email_verified=False
    )
    headers = await bearer(make, user, settings)
    current, statuses = PASSWORD, []
    for number in range(networks):
        client = open_client(f"203.0.113.{number}", mail_delivery="smtp", mails_per_account=1)
        for attempt in range(2):
            body = {"current_password": current}
            if change == "address":
                body["email"] = f"n{number}-{attempt}@example.com"
                response = await client.patch("/users/me", json=body, headers=headers)
            else:
                body["new_password"] = f"correct horse {number}-{attempt}"
                response = await client.post("/auth/password", json=body, headers=headers)
                if response.is_success:
                    current, headers = body["new_password"], signed_in(response)
            statuses.append(response.status_code)

    assert set(statuses) == {200, 429}
    assert [mail.to for mail in mailbox.mails].count(user.email) == most


async def test_notifications_to_a_verified_address_are_not_limited(
    open_client: Opener, mailbox: Mailbox, make: Factory, ann: User
) -> None:
    ann.is_email_verified = True
    await make(ann)
    client = open_client(mail_delivery="smtp", mails_per_account=1)
    headers = signed_in(await sign_in(client))
    for old, new in pairwise([PASSWORD, *(f"correct horse {n}" for n in range(3))]):
        body = {"current_password": old, "new_password": new}
        response = await client.post("/auth/password", json=body, headers=headers)
        assert response.status_code == 200, response.text
        headers = signed_in(response)

    assert [mail.to for mail in mailbox.mails].count(ann.email) == 3


@pytest.mark.parametrize("meanwhile", ["address", "deactivated"])
async def test_attack_change_of_address_in_flight_while_an_administrator_acts(
    app_with: Callable[..., FastAPI],
    live_database: Database,
    make_live: Factory,
    live_admin_headers: dict[str, str],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    meanwhile: str,
) -> None:
    """The account was rescued while the thief's password was verified."""
    app = app_with(mail_delivery="smtp")
    app.state.database = live_database
    hashed_password = await hash_password(SecretStr(PASSWORD), settings)
    user = await make_live.user(email="stolen@example.com", hashed_password=hashed_password)
    headers = await bearer(make_live, user, settings)
    verify = PasswordService.require_current

    async def act_then(*arguments: Any, **options: Any) -> None:
        await verify(*arguments, **options)
        async with http_client(app, headers=live_admin_headers) as admin:
            if meanwhile == "address":
                change = {"email": "rescued@example.com"}
                acted = await admin.patch(f"/users/{user.id}", json=change)
            else:
                acted = await admin.patch(f"/users/{user.id}/access", json={"is_active": False})
        assert acted.status_code == 200, acted.text

    monkeypatch.setattr(PasswordService, "require_current", act_then)
    change = {"email": "thief@example.com", "current_password": PASSWORD}
    async with http_client(app) as client:
        response = await client.patch("/users/me", json=change, headers=headers)

    assert response.status_code == 401
    async with live_database.read() as session:
        stored = (await session.scalars(select(User).where(User.id == user.id))).one()
    expected = "rescued@example.com" if meanwhile == "address" else "stolen@example.com"
    assert (stored.email, stored.pending_email) == (expected, None)


async def test_attack_bogus_sign_ins_queue_up_before_an_honest_one(
    app_with: Callable[..., FastAPI],
    live_database: Database,
    make_live: Factory,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are refused at once when more wait than can be served soon, and so is the honest one.

    It is no attempt then, and succeeds as soon as there is room.
    """
    hashed_password = await hash_password(SecretStr(PASSWORD), settings)
    await make_live.user(email=EMAIL, hashed_password=hashed_password)
    app = app_with(password_tries_per_account=1, password_queue_per_core=8)
    app.state.database = live_database
    go_on = threading.Event()
    verify = PasswordHash.verify_and_update

    def wait(self: PasswordHash, password: str, hashed: str) -> Any:
        go_on.wait(30)
        return verify(self, password, hashed)

    monkeypatch.setattr(PasswordHash, "verify_and_update", wait)
    client = http_client(app, address=EVES_ADDRESS)
    bogus = [
        asyncio.create_task(sign_in(client, f"user{number}@example.com", "guess"))
        for number in range(80)
    ]
    room = hashes_at_once(settings) * (1 + 8)
    try:
        shed = [await done for done in islice(asyncio.as_completed(bogus), 80 - room)]
        honest = http_client(app)
        while_full = [await sign_in(honest) for _ in range(3)]
    finally:
        go_on.set()
    checked = await asyncio.gather(*bogus)

    assert {response.status_code for response in [*shed, *while_full]} == {503}
    assert int(while_full[0].headers["retry-after"]) >= 1
    assert [response.status_code for response in checked].count(401) == room
    assert (await sign_in(honest)).status_code == 200


@pytest.mark.usefixtures("ann")
async def test_attack_guesses_from_many_addresses(open_client: Opener, verified: list[str]) -> None:
    for number in range(25):
        client = open_client(f"203.0.113.{number}", password_tries_per_account=2)
        await sign_in(client, EMAIL, "guess")

    assert len(verified) == 20


@pytest.mark.usefixtures("ann")
async def test_attack_guesses_from_all_addresses_of_an_ipv6_network(
    open_client: Opener, verified: list[str]
) -> None:
    for number in range(8):
        client = open_client(f"2001:db8::{number + 1:x}", password_tries_per_account=3)
        await sign_in(client, EMAIL, "guess")

    assert len(verified) == 3


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "ClientInfo-IP"])
async def test_attack_limit_evaded_by_a_forged_address(open_client: Opener, header: str) -> None:
    client = open_client(EVES_ADDRESS, password_tries_per_account=2)
    statuses = []
    for number in range(4):
        client.headers[header] = f"198.51.100.{number}"
        statuses.append((await sign_in(client, EMAIL, "guess")).status_code)

    assert statuses == [401, 401, 429, 429]


async def test_attack_one_password_on_many_accounts(open_client: Opener) -> None:
    client = open_client(EVES_ADDRESS, password_tries_per_address=5)
    statuses = [
        (await sign_in(client, f"user{number}@example.com", "Summer2026!")).status_code
        for number in range(8)
    ]

    assert statuses == [401] * 5 + [429] * 3


@pytest.mark.usefixtures("ann")
async def test_attack_lockout_as_denial_of_service(open_client: Opener) -> None:
    """Strangers exhaust all limits, but the owner can sign in at an address with a session."""
    few = {"password_tries_per_account": 2}
    assert (await sign_in(open_client("192.0.2.1", **few))).status_code == 200
    for number in range(30):
        await sign_in(open_client(f"203.0.113.{number}", **few), EMAIL, "guess")

    assert (await sign_in(open_client("203.0.113.99", **few))).status_code == 429
    assert (await sign_in(open_client("192.0.2.1", **few))).status_code == 200


@pytest.mark.usefixtures("ann")
async def test_attack_lockout_does_not_survive_a_reset(
    open_client: Opener, mailbox: Mailbox
) -> None:
    few = {"password_tries_per_account": 1}
    for number in range(12):
        await sign_in(open_client(f"203.0.113.{number}", **few), EMAIL, "guess")
    assert await confirm(open_client(), await reset_token(open_client, mailbox)) == 204

    elsewhere = open_client("192.0.2.7", **few)
    assert (await sign_in(elsewhere, EMAIL, NEW_PASSWORD)).status_code == 200


async def request_mail(client: httpx.AsyncClient, path: str = "/auth/password-reset") -> int:
    return (await client.post(path, json={"email": EMAIL})).status_code


@pytest.mark.usefixtures("ann")
async def test_attack_flood_of_mails_to_one_account(open_client: Opener, mailbox: Mailbox) -> None:
    client = open_client(EVES_ADDRESS)
    statuses = [await request_mail(client) for _ in range(8)]

    assert statuses == [202] * 5 + [429] * 3
    assert len(mailbox.mails) == 5


@pytest.mark.usefixtures("ann")
async def test_attack_flood_of_mails_to_one_account_from_many_addresses(
    open_client: Opener, mailbox: Mailbox
) -> None:
    """The response does not reveal that no mail is sent any more: that would reveal the account."""
    few = {"mails_per_account": 1}
    statuses = [
        await request_mail(open_client(f"203.0.113.{number}", **few)) for number in range(15)
    ]

    assert statuses == [202] * 15
    assert len(mailbox.mails) == 10


@pytest.mark.parametrize("email", [EMAIL, "new@example.com"], ids=["known", "unknown"])
@pytest.mark.usefixtures("ann")
async def test_attack_flood_of_mails_by_registering_from_many_addresses(
    open_client: Opener, mailbox: Mailbox, email: str
) -> None:
    few = {"mails_per_account": 1, "require_verified_email": True}
    statuses = []
    for number in range(12):
        client = open_client(f"203.0.113.{number}", **few)
        statuses.append((await client.post("/users", json=new_user(email=email))).status_code)

    assert statuses == [202] * 10 + [429] * 2
    assert len(mailbox.mails) == 10


@pytest.mark.usefixtures("ann")
async def test_attack_link_replaced_by_one_that_is_not_sent(
    open_client: Opener, mailbox: Mailbox
) -> None:
    few = {"mails_per_account": 1}
    for number in range(15):
        await request_mail(open_client(f"203.0.113.{number}", **few))

    assert await confirm(open_client(), mailbox.token()) == 204


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize("address", [EVES_ADDRESS, "127.0.0.1"], ids=["elsewhere", "same office"])
async def test_attack_reset_held_shut_by_conflicts(
    open_client: Opener, mailbox: Mailbox, address: str
) -> None:
    for _ in range(8):
        taken = await open_client(address).post("/users", json=new_user(password=NEW_PASSWORD))
        assert taken.status_code == 409

    assert await request_mail(open_client()) == 202
    assert len(mailbox.mails) == 1


@pytest.mark.parametrize("address", [EVES_ADDRESS, "127.0.0.1"], ids=["elsewhere", "same office"])
async def test_attack_reset_held_shut_by_requests_that_send_nothing(
    open_client: Opener, mailbox: Mailbox, ann: User, session: AsyncSession, address: str
) -> None:
    await session.execute(update(User).where(User.id == ann.id).values(is_email_verified=True))
    await session.commit()
    for _ in range(8):
        await request_mail(open_client(address), "/auth/verify-email")
    assert mailbox.mails == []

    assert await request_mail(open_client()) == 202
    assert len(mailbox.mails) == 1


async def test_attack_registration_held_shut_from_elsewhere(
    open_client: Opener, mailbox: Mailbox
) -> None:
    for _ in range(8):
        await request_mail(open_client(EVES_ADDRESS))
        await request_mail(open_client(EVES_ADDRESS), "/auth/verify-email")
    client = open_client(require_verified_email=True)

    assert (await client.post("/users", json=new_user())).status_code == 202
    assert len(mailbox.mails) == 1


@pytest.mark.usefixtures("ann")
async def test_attack_flood_of_mails_by_changing_ones_own_address(
    open_client: Opener, make: Factory, eve: User, settings: Settings, mailbox: Mailbox
) -> None:
    client = open_client(EVES_ADDRESS, mail_delivery="smtp")
    body = {"email": EMAIL, "current_password": PASSWORD}
    statuses = [
        (
            await client.patch("/users/me", json=body, headers=await bearer(make, eve, settings))
        ).status_code
        for _ in range(8)
    ]

    assert statuses == [200] * 5 + [429] * 3
    assert len([mail for mail in mailbox.mails if mail.to == EMAIL]) == 5


@pytest.mark.usefixtures("ann")
async def test_attack_flood_of_mails_by_changing_addresses_from_many_addresses(
    open_client: Opener, make: Factory, eve: User, settings: Settings, mailbox: Mailbox
) -> None:
    body = {"email": EMAIL, "current_password": PASSWORD}
    statuses = []
    for number in range(12):
        client = open_client(f"203.0.113.{number}", mail_delivery="smtp", mails_per_account=1)
        response = await client.patch(
            "/users/me", json=body, headers=await bearer(make, eve, settings)
        )
        statuses.append(response.status_code)

    assert statuses == [200] * 10 + [429] * 2
    assert len([mail for mail in mailbox.mails if mail.to == EMAIL]) == 10


async def test_attack_flood_of_mails_by_one_address(open_client: Opener) -> None:
    client = open_client(EVES_ADDRESS, mails_per_address=4)
    statuses = [
        (
            await client.post("/auth/verify-email", json={"email": f"user{number}@example.com"})
        ).status_code
        for number in range(6)
    ]

    assert statuses == [202] * 4 + [429] * 2


@pytest.mark.usefixtures("ann")
async def test_attack_passwords_of_a_megabyte(open_client: Opener, verified: list[str]) -> None:
    responses = []
    began = time.process_time()
    # Normalization makes "\ufdfa" eighteen times as long. The last two are within the limit of a body.
    for huge in ("x" * 1_000_000, "\ufdfa" * 110_000, "x" * 60_000, "\ufdfa" * 6_000):
        body = {"token": "x", "new_password": huge}
        responses += [
            await sign_in(open_client(), EMAIL, huge),
            await open_client().post("/users", json=new_user(password=huge)),
            await open_client().post("/auth/password-reset/confirm", json=body),
        ]

    assert [response.status_code for response in responses] == [413] * 6 + [422] * 6
    assert verified == []
    assert time.process_time() - began < 2
    assert max(len(response.content) for response in responses) < 2000


async def test_attack_lone_surrogate_in_each_password(
    open_client: Opener, mailbox: Mailbox, good: str
) -> None:
    """JSON can hold one, and UTF-8 cannot."""
    token = await reset_token(open_client, mailbox)
    odd = "correct \ud800 horse"
    bodies: list[tuple[str, str, dict[str, Any], str]] = [
        ("POST", "/users", new_user(email=EVE), "password"),
        ("PATCH", "/users/me", {"email": EVE}, "current_password"),
        ("POST", "/auth/password", {"new_password": NEW_PASSWORD}, "current_password"),
        ("POST", "/auth/password", {"current_password": PASSWORD}, "new_password"),
        ("POST", "/auth/password-reset/confirm", {"token": token}, "new_password"),
    ]
    client = open_client()
    client.headers["Authorization"] = f"Bearer {good}"
    client.headers["Content-Type"] = "application/json"
    for method, path, body, field in bodies:
        content = json.dumps(body | {field: odd})
        response = await client.request(method, path, content=content)

        assert response.status_code == 422, path
        (error,) = response.json()["errors"]
        assert (error["loc"], error["code"]) == (["body", field], "string_unicode")
    form = await client.post(
        "/auth/token",
        content=f"username={EMAIL}&password=%ED%A0%80",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert form.status_code == 401


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize(
    "password",
    ["", " ", "\x00", PASSWORD + "\x00", PASSWORD[:-1], PASSWORD.upper(), f"{PASSWORD} "],
)
async def test_attack_password_that_is_nearly_right(open_client: Opener, password: str) -> None:
    assert (await sign_in(open_client(), EMAIL, password)).status_code in {401, 422}


@pytest.mark.parametrize("text", ["' OR '1'='1", "'; DROP TABLE users; --", "%", "_", "\\"])
async def test_attack_sql_in_texts(
    open_client: Opener, client: httpx.AsyncClient, ann: User, text: str
) -> None:
    assert (await sign_in(open_client(), text, text)).status_code == 401
    found = await client.get("/users", params={"q": f"ann{text}"})

    assert found.status_code == 200
    assert {user["email"] for user in found.json()["items"]} <= {EMAIL} - {EMAIL}
    assert (await sign_in(open_client())).status_code == 200


@pytest.mark.usefixtures("ann")
async def test_attack_page_of_another_site_that_sends_forms(open_client: Opener) -> None:
    """No response sets a cookie, so browsers send no credentials with requests of other sites."""
    response = await sign_in(open_client())
    for made in (response, await refresh(open_client(), response.json()["refresh_token"])):
        assert "set-cookie" not in made.headers
    cross = await open_client().get("/users/me", headers={"Origin": "https://attacker.example"})

    assert cross.status_code == 401
    assert "access-control-allow-origin" not in cross.headers


async def test_attack_registration_of_a_taken_address_in_other_case(
    open_client: Opener, ann: User, session: AsyncSession
) -> None:
    response = await open_client().post(
        "/users", json=new_user(email=EMAIL.upper(), password=NEW_PASSWORD)
    )

    assert response.status_code == 409
    stored = await session.scalar(select(User.hashed_password).where(User.id == ann.id))
    assert stored == ann.hashed_password


async def test_attack_invitation_shared_with_another(
    open_client: Opener, client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    await client.post("/auth/invitations", json={"email": EMAIL})
    body = new_user(email=EVE, invitation=mailbox.token())

    response = await open_client(registration="invitation").post("/users", json=body)

    assert response.status_code == 403


def test_addresses_are_never_compared_in_pythons_idea_of_case() -> None:
    """PostgreSQL folds some letters differently, so that another address would seem the same."""
    folding = ("lower", "upper", "casefold", "swapcase", "title", "capitalize", "normalize")
    called = [
        ast.unparse(node.func)
        for path in APP.rglob("auth/*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]

    assert "func.lower" in called
    assert not [name for name in called if name.endswith(folding) and "func." not in name]
