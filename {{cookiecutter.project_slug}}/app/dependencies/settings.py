from typing import Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection

from app.core.config import Settings


async def get_settings(connection: HTTPConnection) -> Settings:
    """Return the settings of the running application."""
    settings: Settings = connection.app.state.settings
    return settings


SettingsDep = Annotated[Settings, Depends(get_settings)]
