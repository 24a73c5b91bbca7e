"""psycopg 3: settings go as libpq options, errors carry a `Diagnostic`."""

import math
from typing import Any

import psycopg

from app.core.config import DatabaseSettings
from app.core.drivers import ConstraintViolation, server_parameters


def connect_args(settings: DatabaseSettings) -> dict[str, Any]:
    """Return the keyword arguments of `psycopg.AsyncConnection.connect()`.

    libpq takes whole seconds, and raises a timeout of one second to two.
    """
    options = " ".join(f"-c {name}={value}" for name, value in server_parameters(settings).items())
    return {"connect_timeout": math.ceil(settings.database_connect_timeout), "options": options}


def constraint_violation(error: BaseException | None) -> ConstraintViolation | None:
    """The report of the server is the error's `diag`."""
    if isinstance(error, psycopg.IntegrityError) and error.diag.constraint_name:
        return ConstraintViolation(error.diag.constraint_name, error.diag.message_detail or "")
    return None
