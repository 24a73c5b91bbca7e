"""The callers of the app in tests: anyone, and those whom the rules of the app refuse."""

import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final

import httpx
import pytest
from fastapi import FastAPI
from fastapi.requests import HTTPConnection

from app.core.database import Database
from app.core.http.gateway import GatewayCaller
from app.dependencies import caller_without_auth as provided
from app.exceptions import PermissionError
from app.models.user import User
from tests.conftest import http_client
from tests.endpoints import Access, Arrange, ArrangeOn, Endpoint, HeadersOf, Send
from tests.factories import Factory

# The status of a request without a user that needs one.
NO_USER: Final = 403

_HEADER: Final = "X-Test-Caller"  # the gateway names the caller in it

# The rules let everyone in until a project fills them in; here they refuse, one at a time.
CALLERS: Final = ("anyone", "unknown", "not the owner", "no admin")

_OWNER_RULE: Final = "require_owner_or_admin"


@pytest.fixture(scope="session")
def caller_settings() -> dict[str, Any]:
    return {}


@pytest.fixture
def headers_of(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> HeadersOf:
    _install_caller(app, monkeypatch)
    return _named


async def _named(_make: Factory, user: User) -> dict[str, str]:
    return {_HEADER: str(user.id)}


@pytest.fixture
def admin_headers() -> dict[str, str]:
    return {}


@pytest.fixture
def live_admin_headers() -> dict[str, str]:
    return {}


def new_user(**values: Any) -> dict[str, Any]:
    """Return a body of POST /users."""
    return {"email": "ann@example.com", "display_name": "Ann"} | values


def expected_statuses(endpoint: Endpoint) -> tuple[int, ...]:
    """Return the status that each of `CALLERS` gets."""
    status = endpoint.status
    return {
        Access.OPEN: (status, status, status, status),
        Access.CALLER: (status, 403, status, status),
        Access.OWNER: (status, 403, 403, status),
        Access.ADMIN: (status, 403, status, 403),
    }[endpoint.access]


def measured_as(endpoint: Endpoint) -> str:
    """Return the caller as whom statements are counted."""
    return CALLERS[0]


def statements_to_identify(_caller: str) -> int:
    """Return the number of statements that read the caller: none, because the gateway names them."""
    return 0


# Whose rule refuses the request of this task: requests of several callers run at the same time.
_refused: Final[ContextVar[str]] = ContextVar("refused", default="")


def _refuse(kind: str) -> None:
    if _refused.get() == kind:
        raise PermissionError("Refused by a test")


async def _caller(connection: HTTPConnection) -> GatewayCaller | None:
    name = connection.headers.get(_HEADER)
    return GatewayCaller(name) if name else await provided.get_caller(connection)


async def _admitted_caller(connection: HTTPConnection) -> GatewayCaller | None:
    _refuse("unknown")
    return await _caller(connection)


def _install_caller(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a header of the tests name the caller, whatever the settings say."""
    monkeypatch.setitem(app.dependency_overrides, provided.get_caller, _caller)
    monkeypatch.setitem(app.dependency_overrides, provided.get_admitted_caller, _admitted_caller)


async def _admin(caller: provided.Caller) -> GatewayCaller | None:
    _refuse("no admin")
    return await provided.require_admin(caller)


def _install_rules(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the rules of the app refuse what `_refused` says."""
    _install_caller(app, monkeypatch)
    monkeypatch.setitem(app.dependency_overrides, provided.require_admin, _admin)
    for name, module in list(sys.modules.items()):
        if name.startswith("app.services.") and hasattr(module, _OWNER_RULE):
            rule = getattr(module, _OWNER_RULE)

            def check(*arguments: object, rule: Callable[..., object] = rule) -> object:
                _refuse("not the owner")
                return rule(*arguments)

            monkeypatch.setattr(module, _OWNER_RULE, check)


@pytest.fixture
def arrange_on(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> ArrangeOn:
    _install_rules(app, monkeypatch)

    def arrange_on(database: Database, make: Factory) -> Arrange:
        async def arrange(endpoint: Endpoint, caller: str) -> Send:
            owner = await make.user()
            request = await endpoint.request(make, owner)
            named = await _named(make, owner)

            async def send(**more: str) -> httpx.Response:
                app.state.database = database
                _refused.set(caller)
                try:
                    async with http_client(app, headers=named | more) as client:
                        return await client.request(**request)
                finally:
                    _refused.set("")

            return send

        return arrange

    return arrange_on


def printed_of_demo_user(_url: str) -> str:
    """Return what `app dev` prints about the demo's user: nothing."""
    return ""
