from typing import Annotated

from fastapi import Depends, Request

from app.core.http.client import ClientInfo


async def get_client(request: Request) -> ClientInfo:
    """Return who is calling. What proxies say counts only if `TRUSTED_PROXIES` names them."""
    host = request.client.host if request.client else None
    return ClientInfo.of(host, request.headers.get("User-Agent", ""))


ClientDep = Annotated[ClientInfo, Depends(get_client)]
