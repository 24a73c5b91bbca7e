from typing import cast

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import QueuePool, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import security
from app.core.database import Database
from app.core.security import hash_password
from app.models.user import User
from tests.factories import Factory

PASSWORD = "correct horse battery"


@pytest.fixture
async def user(make: Factory) -> User:
    return await make.user(
        email="ann@example.com", hashed_password=await hash_password(SecretStr(PASSWORD))
    )


async def sign_in(client: httpx.AsyncClient, username: str, password: str) -> httpx.Response:
    return await client.post(
        "/auth/token",
        data={"grant_type": "password", "username": username, "password": password},
    )


@pytest.mark.usefixtures("user")
@pytest.mark.parametrize("username", ["ann@example.com", "ANN@example.com"])
async def test_password_is_exchanged_for_a_token_that_works(
    client: httpx.AsyncClient, username: str
) -> None:
    response = await sign_in(client, username, PASSWORD)

    assert response.status_code == 200
    assert response.json()["token_type"] == "bearer"
    assert response.json()["expires_in"] == 900
    assert response.headers["cache-control"] == "no-store"
    authorization = {"Authorization": f"Bearer {response.json()['access_token']}"}
    me = await client.get("/users/me", headers=authorization)
    assert me.json()["email"] == "ann@example.com"


async def test_registered_user_can_sign_in(client: httpx.AsyncClient) -> None:
    body = {"email": "new@example.com", "display_name": "New", "password": PASSWORD}
    created = await client.post("/users", json=body)

    assert PASSWORD not in created.text
    assert created.json()["role"] == "user"
    assert (await sign_in(client, "new@example.com", PASSWORD)).status_code == 200


async def test_password_is_taken_as_it_is_typed(client: httpx.AsyncClient) -> None:
    password = " correct horse "
    await client.post(
        "/users", json={"email": "new@example.com", "display_name": "New", "password": password}
    )

    assert (await sign_in(client, "new@example.com", password)).status_code == 200
    assert (await sign_in(client, "new@example.com", password.strip())).status_code == 401


async def test_failures_to_sign_in_look_alike_and_cost_the_same(
    client: httpx.AsyncClient, make: Factory, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make.user(email="imported@example.com")
    await make.user(email="gone@example.com", is_active=False, hashed_password=user.hashed_password)
    verified: list[str] = []
    verify = security._password_hash.verify

    def count(password: str, hashed_password: str) -> bool:
        verified.append(hashed_password.rpartition("$")[0].rpartition("$")[0])
        return verify(password, hashed_password)

    monkeypatch.setattr(security._password_hash, "verify", count)
    responses = [
        await sign_in(client, "ann@example.com", "wrong password"),
        await sign_in(client, "nobody@example.com", PASSWORD),
        await sign_in(client, "imported@example.com", PASSWORD),
        await sign_in(client, "gone@example.com", PASSWORD),
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
        {"username": "ann@example.com"},
        {"username": "nul\u0000", "password": "x"},
        {"username": "x" * 256, "password": "x"},
        {"username": "ann@example.com", "password": "hunter2" * 20},
        {"username": "ann@example.com", "password": "hunter2", "grant_type": "implicit"},
    ],
)
async def test_wrong_form_is_refused_without_repeating_it(
    client: httpx.AsyncClient, form: dict[str, str]
) -> None:
    response = await client.post("/auth/token", data=form)

    assert response.status_code == 422
    assert "hunter2" not in response.text


async def test_inactive_user_has_no_access_though_the_token_is_good(
    client: httpx.AsyncClient, session: AsyncSession, user: User
) -> None:
    token = (await sign_in(client, "ann@example.com", PASSWORD)).json()["access_token"]
    await session.execute(update(User).where(User.id == user.id).values(is_active=False))
    await session.commit()

    response = await client.get("/users/me", headers={"Authorization": f"Bearer {token}"})

    assert response.status_code == 401


@pytest.mark.usefixtures("user")
async def test_changed_password_counts_at_once(client: httpx.AsyncClient) -> None:
    token = (await sign_in(client, "ann@example.com", PASSWORD)).json()["access_token"]

    response = await client.patch(
        "/users/me",
        json={"password": "another password"},
        headers={"Authorization": f"Bearer {token}"},
    )

    assert response.status_code == 200
    assert "another password" not in response.text
    assert (await sign_in(client, "ann@example.com", PASSWORD)).status_code == 401
    assert (await sign_in(client, "ann@example.com", "another password")).status_code == 200


async def test_those_who_wait_for_their_password_to_be_checked_hold_no_connection(
    live_client: httpx.AsyncClient, live_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []

    async def check(*_: object) -> bool:
        held.append(cast("QueuePool", live_database.engine.pool).checkedout())
        return False

    monkeypatch.setattr("app.services.auth_service.verify_password", check)
    await sign_in(live_client, "ann@example.com", PASSWORD)

    assert held == [0]
