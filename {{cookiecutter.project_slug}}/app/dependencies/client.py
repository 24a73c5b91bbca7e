from typing import Annotated

from fastapi import Depends, Request

from app.core.client import Client


async def get_client(request: Request) -> Client:
    return Client(
        request.client.host if request.client else "",
        request.headers.get("User-Agent", "")[:255],
    )


ClientDep = Annotated[Client, Depends(get_client)]
