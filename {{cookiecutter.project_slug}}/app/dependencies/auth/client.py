from typing import Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection

from app.core.http.client_info import ClientInfo


async def get_client(connection: HTTPConnection) -> ClientInfo:
    """Return the client. Headers of proxies are respected only if `TRUSTED_PROXIES` lists them."""
    host = connection.client.host if connection.client else None
    return ClientInfo.of(host, connection.headers.get("User-Agent", ""))


ClientDep = Annotated[ClientInfo, Depends(get_client)]
