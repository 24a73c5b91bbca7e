"""A value that PostgreSQL cannot store is the fault of the request, wherever it comes from."""

from collections.abc import AsyncGenerator
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Body
from sqlalchemy import BigInteger, Integer, String, cast, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import TypeEngine

from app.core.config import Settings
from app.core.database import Database
from app.core.http.edge import EdgeRoute
from app.dependencies.database import SessionDep
from tests.conftest import http_client
from tests.platform.database.apps import edged

router = APIRouter(route_class=EdgeRoute)


async def fetch(session: AsyncSession, value: object, kind: TypeEngine[Any]) -> None:
    await session.scalar(select(cast(value, kind)))


@router.get("/texts/{value}")
async def read_text(value: str, session: SessionDep) -> None:
    await fetch(session, value, String())


@router.get("/texts")
async def find_texts(q: str, session: SessionDep) -> None:
    await fetch(session, q, String())


@router.post("/texts")
async def write_text(value: Annotated[Any, Body(embed=True)], session: SessionDep) -> None:
    await fetch(session, value, String())


@router.get("/numbers/{value}")
async def read_number(value: int, session: SessionDep) -> None:
    await fetch(session, value, BigInteger())


@router.get("/small-numbers/{value}")
async def read_small_number(value: int, session: SessionDep) -> None:
    await fetch(session, value, Integer())


@router.get("/bug")
async def pass_the_wrong_type(session: SessionDep) -> None:
    await fetch(session, "seven", Integer())


@pytest.fixture
async def client(settings: Settings, live_database: Database) -> AsyncGenerator[httpx.AsyncClient]:
    app = edged(settings, live_database)
    app.include_router(router)
    async with http_client(app, raises=False) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/texts/a%00b", None),
        ("GET", "/texts?q=a%00b", None),
        ("POST", "/texts", b'{"value": "a\\u0000b"}'),
        ("POST", "/texts", b'{"value": "\\ud800"}'),
        ("GET", f"/numbers/{2**63}", None),
        ("GET", f"/small-numbers/{2**31}", None),
    ],
)
async def test_value_that_cannot_be_stored_is_refused(
    client: httpx.AsyncClient, method: str, path: str, body: bytes | None
) -> None:
    headers = {"Content-Type": "application/json"} if body else {}
    response = await client.request(method, path, content=body, headers=headers)

    assert response.status_code == 422
    assert response.json()["code"] == "VALIDATION_ERROR"


async def test_value_of_the_wrong_type_is_a_bug(client: httpx.AsyncClient) -> None:
    assert (await client.get("/bug")).status_code == 500
