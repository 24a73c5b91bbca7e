from typing import Annotated

from fastapi import Depends, Request

from app.core.client import Client


async def get_client(request: Request) -> Client:
    """Return who is calling. What proxies say counts only if `TRUSTED_PROXIES` names them."""
    host = request.client.host if request.client else None
    return Client.of(host, request.headers.get("User-Agent", ""))


ClientDep = Annotated[Client, Depends(get_client)]
