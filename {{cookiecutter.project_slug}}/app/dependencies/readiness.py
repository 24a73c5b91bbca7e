from fastapi import Request

from app.core.database.readiness import ReadinessProbe, Schema
from app.core.http.draining import Draining
from app.exceptions import UnavailableError


async def get_readiness(request: Request) -> Schema:
    """Return where the schema stands. Raises `UnavailableError` unless requests can be served."""
    draining: Draining = request.app.state.draining
    probe: ReadinessProbe = request.app.state.readiness
    if draining.started:
        raise UnavailableError("The process is about to stop")
    return await probe.check()
