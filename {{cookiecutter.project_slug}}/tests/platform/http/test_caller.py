"""The caller is the user of the access token."""

from collections.abc import Callable
from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request
from sqlalchemy import select

from app.core.config import Settings
from app.core.database import Database
from app.core.http.edge import EdgeRoute
from app.dependencies.caller import OptionalCaller, get_caller, identify_caller
from app.models.idempotency_key import IdempotencyKey
from app.models.user import User
from app.services.personal_data_service import PersonalDataService
from tests.auth.accounts import bearer, make_access_token
from tests.conftest import http_client
from tests.endpoints import recorded_statements
from tests.factories import Factory

router = APIRouter(route_class=EdgeRoute)


@router.post("/caller")
async def read_caller(
    request: Request,
    caller: OptionalCaller,
    again: Annotated[User | None, Depends(get_caller, use_cache=False)],
) -> tuple[int | None, str]:
    assert again is caller
    return caller.id if caller else None, await identify_caller(request)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_caller_is_read_once_for_each_request_whatever_the_case_of_the_scheme(
    app_with_routers: Callable[..., FastAPI],
    live_database: Database,
    make_live: Factory,
    settings: Settings,
    scheme: str,
) -> None:
    app = app_with_routers(router, database=live_database)
    user = await make_live.user()
    token = (await bearer(make_live, user, settings))["Authorization"].partition(" ")[2]
    async with http_client(app) as client:
        anonymous = await client.post("/caller")
        with recorded_statements(live_database) as statements:
            known = await client.post("/caller", headers={"Authorization": f"{scheme} {token}"})

    assert anonymous.json() == [None, "anyone"]
    assert known.json() == [user.id, f"user {user.id}"]
    assert len(statements) == 1


@pytest.mark.parametrize("keys", [{}, {"Idempotency-Key": "1"}], ids=["no key", "key"])
@pytest.mark.parametrize(("scheme", "status"), [("bearer", 201), ("BEARER", 201), ("Basic", 401)])
async def test_caller_is_the_same_with_an_idempotency_key(
    probe_app: FastAPI,
    database: Database,
    make: Factory,
    settings: Settings,
    scheme: str,
    status: int,
    keys: dict[str, str],
) -> None:
    user = await make.user()
    token = await make_access_token(make, user, settings)
    headers = {"Authorization": f"{scheme} {token}"} | keys
    probe_app.state.database = database

    async with http_client(probe_app, headers=headers) as client:
        response = await client.post("/probes", json={"owner_id": user.id, "name": "Name"})

    assert response.status_code == status


async def test_stored_responses_to_a_user_are_erased_with_them(
    probe_app: FastAPI, database: Database, make: Factory, settings: Settings
) -> None:
    probe_app.state.database = database
    ann, eve = await make.user(), await make.user()
    async with http_client(probe_app) as client:
        for user in (ann, eve):
            headers = await bearer(make, user, settings) | {"Idempotency-Key": "1"}
            body = {"owner_id": user.id, "name": user.email}
            response = await client.post("/probes", json=body, headers=headers)
            assert response.status_code == 201
    async with database.transaction() as session:
        await PersonalDataService(session).erase(ann.email)
    async with database.read() as session:
        (left,) = (await session.scalars(select(IdempotencyKey.body))).all()

    assert eve.email in left.decode()
