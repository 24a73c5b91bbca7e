from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response, status

from app.core.http.conditional_requests import NOT_MODIFIED, set_etag
from app.core.http.edge import EdgeRoute
from app.core.http.limits import body_limit
from app.core.http.links import set_location, set_next_link
from app.core.http.openapi import Tag, link_to
from app.core.types import Id
from app.dependencies.caller import require_admin
from app.dependencies.if_match import IfMatch
from app.dependencies.services import public_service, service
from app.schemas.page import Page
from app.schemas.${r.singular} import (
% if r.body_lengths:
    MAX_${r.singular.upper()}_BYTES,
% endif
    ${r.class_name}Create,
    ${r.class_name}Patch,
    ${r.class_name}Query,
    ${r.class_name}Response,
)
from app.services.${r.singular}_service import ${r.class_name}Service

router = APIRouter(
    prefix="${r.path}",
    tags=[Tag("${r.humans.capitalize()}", "Create, read, change and delete ${r.humans}.")],
    route_class=EdgeRoute,
)

${r.class_name}ServiceDep = Annotated[${r.class_name}Service, Depends(service(${r.class_name}Service))]
Public${r.class_name}ServiceDep = Annotated[${r.class_name}Service, Depends(public_service(${r.class_name}Service))]
<%
    limit = f"@body_limit(lambda _settings: MAX_{r.singular.upper()}_BYTES)\n" if r.body_lengths else ""
    etag = "etag" if r.unversioned else "version"
    admin = ", dependencies=[Depends(require_admin)]" if not r.owner else ""
%>

@router.get("")
async def list_${r.plural}(
    ${r.plural}: Public${r.class_name}ServiceDep,
    query: Annotated[${r.class_name}Query, Query()],
    request: Request,
    response: Response,
) -> Page[${r.class_name}Response]:
    """List ${r.humans}, by default newest first."""
    page = await ${r.plural}.list_${r.plural}(query)
    set_next_link(request, response, page.next_cursor)
    return Page[${r.class_name}Response].model_validate(page)


@router.get("/{${r.singular}_id:id}", responses=NOT_MODIFIED)
async def read_${r.singular}(
    ${r.singular}_id: Id, ${r.plural}: Public${r.class_name}ServiceDep, request: Request, response: Response
) -> ${r.class_name}Response:
    """Read ${r.a}."""
    ${r.singular} = await ${r.plural}.get_${r.singular}(${r.singular}_id)
    set_etag(request, response, ${r.singular}.${etag})
    return ${r.class_name}Response.model_validate(${r.singular})


@router.post("", status_code=status.HTTP_201_CREATED, responses=link_to("${r.singular}")${admin})
${limit}\
async def create_${r.singular}(
    data: ${r.class_name}Create, ${r.plural}: ${r.class_name}ServiceDep, request: Request, response: Response
) -> ${r.class_name}Response:
    """Create ${r.a}."""
    ${r.singular} = await ${r.plural}.create_${r.singular}(data)
    set_location(request, response, ${r.singular}.id)
    set_etag(request, response, ${r.singular}.${etag})
    return ${r.class_name}Response.model_validate(${r.singular})


@router.patch("/{${r.singular}_id:id}"${admin})
${limit}\
async def update_${r.singular}(
    ${r.singular}_id: Id,
    data: ${r.class_name}Patch,
    ${r.plural}: ${r.class_name}ServiceDep,
    if_match: IfMatch,
    request: Request,
    response: Response,
) -> ${r.class_name}Response:
    """Change ${r.a}. Omitted fields stay unchanged."""
    ${r.singular} = await ${r.plural}.update_${r.singular}(${r.singular}_id, data, if_match)
    set_etag(request, response, ${r.singular}.${etag})
    return ${r.class_name}Response.model_validate(${r.singular})


@router.delete("/{${r.singular}_id:id}", status_code=status.HTTP_204_NO_CONTENT${admin})
async def delete_${r.singular}(${r.singular}_id: Id, ${r.plural}: ${r.class_name}ServiceDep, if_match: IfMatch) -> None:
    """Delete ${r.a}."""
    await ${r.plural}.delete_${r.singular}(${r.singular}_id, if_match)
