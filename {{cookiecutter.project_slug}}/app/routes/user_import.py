from typing import Annotated

from fastapi import APIRouter, Depends, status

from app.core.http.edge import EdgeRoute
from app.core.http.limits import body_limit
from app.dependencies.caller import admit_admin, require_admin
from app.dependencies.services import service
from app.schemas.user_import import UserImport, UserImportResponse
from app.services.user_import_service import UserImportService

router = APIRouter(prefix="/users/import", tags=["Users"], route_class=EdgeRoute)

UserImportServiceDep = Annotated[UserImportService, Depends(service(UserImportService))]


@router.post("", status_code=status.HTTP_201_CREATED, dependencies=[Depends(require_admin)])
@body_limit(lambda settings: settings.max_import_bytes, admit=admit_admin)
async def import_users(data: UserImport, users: UserImportServiceDep) -> UserImportResponse:
    """Write many users with their posts: all of them, or none if there is an error."""
    return await users.import_users(data)
