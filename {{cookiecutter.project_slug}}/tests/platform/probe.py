"""A resource of the tests, on which the platform is tested: `/probes`.

Its table has a unique column, a nullable column and a foreign key. It has its own metadata, because
no migration creates it: a fixture does.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response, status
from pydantic import StringConstraints
from sqlalchemy import ForeignKey, MetaData, String, UniqueConstraint, bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column, raiseload, relationship

from app.core.database.constraints import refusal
from app.core.database.metadata import NAMING_CONVENTION
from app.core.http.conditional_requests import NOT_MODIFIED, set_etag
from app.core.http.edge import EdgeRoute
from app.core.http.links import set_location, set_next_link
from app.core.http.openapi import link_to
from app.core.pagination import KeysetPage, decode_cursor, encode_cursor
from app.core.types import Id, Text
from app.dependencies.if_match import IfMatch
from app.dependencies.pagination import PageCursor, PageLimit
from app.dependencies.services import public_service, service
from app.exceptions import ConflictError, NotFoundError
from app.models.base import Base
from app.models.user import User
from app.repositories.base import Repository, for_update, keyset
from app.schemas.base import Nullable, PatchBody, RequestBody, ResponseBody
from app.schemas.page import Page
from app.services.permissions import Caller, require_owner_or_admin
from app.services.rows import require_found, require_version
from tests.factories import Factory, unique_number


class ProbeBase(Base):
    __abstract__ = True
    metadata = MetaData(naming_convention=NAMING_CONVENTION)


class Probe(ProbeBase):
    __tablename__ = "probes"

    owner_id: Mapped[int] = mapped_column(
        ForeignKey(
            User.__table__.c.id,
            ondelete="CASCADE",
            info=refusal(NotFoundError, "Owner {value} not found"),
        )
    )
    name: Mapped[str] = mapped_column(String(100))
    note: Mapped[str | None] = mapped_column(String(100))

    owner: Mapped[User] = relationship(lazy="selectin")

    __table_args__ = (
        UniqueConstraint("name", info=refusal(ConflictError, "Name {value} is taken")),
    )


Name = Annotated[Text, StringConstraints(min_length=1, max_length=100)]


class ProbeCreate(RequestBody):
    owner_id: Id
    name: Name
    note: Name | None = None


class ProbePatch(PatchBody):
    name: Name | None = None
    note: Annotated[Name | None, Nullable] = None


class ProbeResponse(ResponseBody):
    id: Id
    owner_id: Id
    name: str
    note: str | None


_PROBES: Final = select(Probe).options(raiseload("*"))
_BY_ID: Final = _PROBES.where(Probe.id == bindparam("probe_id"))
_FOR_UPDATE: Final = for_update(_BY_ID)
_PAGES: Final = {
    after: keyset(_PROBES, Probe.id.expression, after=after) for after in (True, False)
}


class ProbeRepository(Repository[Probe]):
    model = Probe

    async def get_by_id(self, probe_id: int) -> Probe | None:
        return await self.one(_BY_ID, {"probe_id": probe_id})

    async def get_for_update(self, probe_id: int) -> Probe | None:
        return await self.one(_FOR_UPDATE, {"probe_id": probe_id})

    async def list_page(self, *, limit: int, after: Sequence[Any]) -> Sequence[Probe]:
        return await self.page(_PAGES[bool(after)], limit=limit, after=after)


class ProbeService:
    def __init__(self, session: AsyncSession, caller: Caller | None = None) -> None:
        self._caller = caller
        self._probes = ProbeRepository(session)

    async def create(self, data: ProbeCreate) -> Probe:
        require_owner_or_admin(self._caller, data.owner_id)
        return await self._probes.create(data.model_dump())

    async def list(self, limit: int, cursor: str | None) -> KeysetPage[Probe]:
        after = decode_cursor(cursor, "id", int)[1:] if cursor else ()
        probes = await self._probes.list_page(limit=limit + 1, after=after)
        return KeysetPage.of(probes, limit, lambda probe: encode_cursor("id", probe.id, probe.id))

    async def get(self, probe_id: int) -> Probe:
        return require_found(await self._probes.get_by_id(probe_id), f"Probe {probe_id}")

    async def update(
        self, probe_id: int, data: ProbePatch, if_match: frozenset[int] | None
    ) -> Probe:
        return await self._probes.update(await self._lock(probe_id, if_match), data.columns())

    async def delete(self, probe_id: int, if_match: frozenset[int] | None) -> None:
        await self._probes.delete(await self._lock(probe_id, if_match))

    async def _lock(self, probe_id: int, if_match: frozenset[int] | None) -> Probe:
        probe = require_found(await self._probes.get_for_update(probe_id), f"Probe {probe_id}")
        require_owner_or_admin(self._caller, probe.owner_id)
        require_version(probe, if_match)
        return probe


Probes = Annotated[ProbeService, Depends(service(ProbeService))]
PublicProbes = Annotated[ProbeService, Depends(public_service(ProbeService))]

router = APIRouter(prefix="/probes", tags=["Probes"], route_class=EdgeRoute)


@router.post("", status_code=status.HTTP_201_CREATED, responses=link_to("probe"))
async def create_probe(
    data: ProbeCreate, probes: Probes, request: Request, response: Response
) -> ProbeResponse:
    probe = await probes.create(data)
    set_location(request, response, probe.id)
    set_etag(request, response, probe.version)
    return ProbeResponse.model_validate(probe)


@router.get("")
async def list_probes(
    probes: PublicProbes,
    request: Request,
    response: Response,
    limit: PageLimit = 20,
    cursor: PageCursor = None,
) -> Page[ProbeResponse]:
    page = await probes.list(limit, cursor)
    set_next_link(request, response, page.next_cursor)
    return Page[ProbeResponse].model_validate(page)


@router.get("/{probe_id:id}", responses=NOT_MODIFIED)
async def read_probe(
    probe_id: Id, probes: PublicProbes, request: Request, response: Response
) -> ProbeResponse:
    probe = await probes.get(probe_id)
    set_etag(request, response, probe.version)
    return ProbeResponse.model_validate(probe)


@router.patch("/{probe_id:id}")
async def update_probe(
    probe_id: Id,
    data: ProbePatch,
    probes: Probes,
    if_match: IfMatch,
    request: Request,
    response: Response,
) -> ProbeResponse:
    probe = await probes.update(probe_id, data, if_match)
    set_etag(request, response, probe.version)
    return ProbeResponse.model_validate(probe)


@router.delete("/{probe_id:id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_probe(probe_id: Id, probes: Probes, if_match: IfMatch) -> None:
    await probes.delete(probe_id, if_match)


async def make_probe(make: Factory, **values: Any) -> Probe:
    """Write a probe of a new user."""
    owner = await make.user()
    defaults = {"owner_id": owner.id, "name": f"Probe {unique_number()}"}
    return await make(Probe(**defaults | values))


async def count_probes(session: AsyncSession) -> int:
    return len((await session.scalars(select(Probe.id))).all())
