from typing import Annotated

from fastapi import Depends, Request

from app.core.http.client_info import ClientInfo


async def get_client(request: Request) -> ClientInfo:
    """Return the client. Headers of proxies are respected only if `TRUSTED_PROXIES` lists them."""
    host = request.client.host if request.client else None
    return ClientInfo.of(host, request.headers.get("User-Agent", ""))


ClientDep = Annotated[ClientInfo, Depends(get_client)]
