from fastapi.requests import HTTPConnection

from app.core.database.readiness import ReadinessProbe, SchemaState
from app.core.http.draining import DRAINING, Draining
from app.core.http.edge import running_database
from app.exceptions import UnavailableError


async def get_readiness(connection: HTTPConnection) -> SchemaState:
    """Return the state of the schema. Raises `UnavailableError` if requests cannot be served.

    Raises as `running_database` does, too: requests would.
    """
    running_database(connection.app)
    draining: Draining = connection.app.state.draining
    probe: ReadinessProbe = connection.app.state.readiness
    if draining.started:
        raise UnavailableError("The process is shutting down", kind=DRAINING)
    return await probe.check()
