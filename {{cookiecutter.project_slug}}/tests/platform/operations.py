from typing import Any

from fastapi import FastAPI


def operation(app: FastAPI, name: str) -> dict[str, Any]:
    """Return what the OpenAPI document says of a route, such as `GET /users`."""
    method, path = name.split()
    found: dict[str, Any] = app.openapi()["paths"][path][method.lower()]
    return found
