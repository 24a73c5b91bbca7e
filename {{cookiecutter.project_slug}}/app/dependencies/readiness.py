from fastapi import Request

from app.core.database.readiness import ReadinessProbe, Schema
from app.core.http.draining import Draining
from app.exceptions import UnavailableError


async def get_readiness(request: Request) -> Schema:
    """Return the state of the schema. Raises `UnavailableError` if requests cannot be served."""
    draining: Draining = request.app.state.draining
    probe: ReadinessProbe = request.app.state.readiness
    if draining.started:
        raise UnavailableError("The process is shutting down")
    return await probe.check()
