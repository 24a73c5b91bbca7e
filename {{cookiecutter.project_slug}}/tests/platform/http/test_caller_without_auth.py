"""The caller is named by the gateway, which must be a trusted proxy."""

from collections.abc import Callable
from ipaddress import ip_network
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request
from sqlalchemy import select

from app.core.caller_settings_without_auth import CallerSettings
from app.core.config import Settings
from app.core.database import Database
from app.core.http.edge import EdgeRoute
from app.core.http.gateway import GatewayCaller
from app.dependencies.caller_without_auth import get_caller, identify_caller, install_caller
from app.dependencies.database import SessionDep
from app.exceptions import PermissionError
from app.models.idempotency_key import IdempotencyKey
from app.services.permissions_without_auth import id_of_user, require_user
from app.services.personal_data_service import PersonalDataService
from tests.conftest import http_client
from tests.factories import Factory

router = APIRouter()
notes = APIRouter(route_class=EdgeRoute)


@router.get("/caller")
async def read_caller(
    request: Request, caller: Annotated[GatewayCaller | None, Depends(get_caller)]
) -> tuple[str | None, str]:
    return caller.name if caller else None, await identify_caller(request)


@notes.post("/notes")
async def add_note(body: dict[str, int], _: SessionDep) -> dict[str, int]:
    return body


def make_app(
    app_with_routers: Callable[..., FastAPI], monkeypatch: pytest.MonkeyPatch, **settings: object
) -> FastAPI:
    monkeypatch.setattr("app.main.install_caller", install_caller)
    return app_with_routers(router, notes, trusted_proxies=(ip_network("10.0.0.0/8"),), **settings)


@pytest.fixture
def app(app_with_routers: Callable[..., FastAPI], monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    return make_app(app_with_routers, monkeypatch, caller_header="X-User")


@pytest.mark.parametrize(
    ("peer", "headers", "name"),
    [
        ("10.1.2.3", {"X-User": "ann"}, "ann"),
        ("10.1.2.3", {"X-User": "ann", "X-Forwarded-For": "203.0.113.5"}, "ann"),
        ("::ffff:10.1.2.3", {"X-User": "ann"}, "ann"),
        ("::ffff:192.0.2.1", {"X-User": "ann"}, None),
        ("10.1.2.3", {}, None),
        ("10.1.2.3", {"X-User": ""}, None),
        ("192.0.2.1", {"X-User": "ann"}, None),
        ("192.0.2.1", {"X-User": "ann", "X-Forwarded-For": "10.1.2.3"}, None),
        ("a socket", {"X-User": "ann"}, None),
    ],
)
async def test_caller_is_named_by_trusted_proxies_only(
    app: FastAPI, peer: str, headers: dict[str, str], name: str | None
) -> None:
    async with http_client(app, address=peer) as client:
        response = await client.get("/caller", headers=headers)

    assert response.json() == [name, f"caller {name}" if name else "anyone"]


async def test_header_means_nothing_unless_the_settings_name_it(
    app_with_routers: Callable[..., FastAPI], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(app_with_routers, monkeypatch, caller_header="")
    async with http_client(app, address="10.1.2.3") as client:
        response = await client.get("/caller", headers={"X-User": "ann"})

    assert response.json() == [None, "anyone"]


async def test_name_of_any_length_is_told_from_others_and_fits_the_scope_of_a_key(
    app: FastAPI,
) -> None:
    names = ["x" * 40, "x" * 41, "x" * 500, "x" * 499 + "y"]
    async with http_client(app, address="10.1.2.3") as client:
        callers = [(await client.get("/caller", headers={"X-User": name})).json() for name in names]

    assert [name for name, _ in callers] == names
    scopes = {scope for _, scope in callers}
    assert len(scopes) == len(names)
    column: Any = IdempotencyKey.__table__.c.scope.type
    assert max(map(len, scopes)) <= column.length


async def test_stored_responses_to_a_user_are_erased_with_them(
    app: FastAPI, database: Database, make: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.dependencies.idempotency.identify_caller", identify_caller)
    app.state.database = database
    ann, eve = await make.user(), await make.user()
    async with http_client(app, address="10.1.2.3") as client:
        for user in (ann, eve):
            headers = {"X-User": str(user.id), "Idempotency-Key": "1"}
            response = await client.post("/notes", json={"by": user.id}, headers=headers)
            assert response.status_code == 200
    async with database.transaction() as session:
        await PersonalDataService(session).erase(ann.email)
    async with database.read() as session:
        left = (await session.scalars(select(IdempotencyKey.body))).all()

    assert left == [b'{"by":%d}' % eve.id]


async def test_header_that_occurs_twice_is_refused(app: FastAPI) -> None:
    """A gateway that adds its own leaves the client's in place."""
    headers = [("X-User", "admin"), ("x-user", "ann")]
    async with http_client(app, address="10.1.2.3") as client:
        response = await client.get("/caller", headers=headers)

    assert response.status_code == 422
    assert "more than one X-User" in response.json()["detail"]


@pytest.mark.parametrize(
    ("name", "user_id"),
    [
        ("7", 7),
        ("0", None),
        ("07", None),
        ("-7", None),
        ("ann", None),
        ("7" * 16, None),
        ("\u0667", None),
    ],
)
def test_gateway_names_a_user_by_the_id(name: str, user_id: int | None) -> None:
    assert id_of_user(GatewayCaller(name)) == user_id
    if user_id is None:
        with pytest.raises(PermissionError, match="Only a user may do this"):
            require_user(GatewayCaller(name))
    else:
        assert require_user(GatewayCaller(name)) == user_id


def test_nobody_is_not_a_user() -> None:
    assert id_of_user(None) is None


async def test_responses_to_a_caller_that_the_gateway_names_are_not_stored(
    app_with_routers: Callable[..., FastAPI], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Settings, "identifying_headers", CallerSettings.identifying_headers)
    app = make_app(app_with_routers, monkeypatch, caller_header="X-User")
    async with http_client(app, address="10.1.2.3") as client:
        responses = [await client.get("/caller", headers=one) for one in ({"X-User": "ann"}, {})]

    assert [one.headers.get("cache-control") for one in responses] == ["no-store", None]
