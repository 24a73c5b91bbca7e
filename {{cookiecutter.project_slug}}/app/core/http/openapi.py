from typing import Any

from fastapi import FastAPI

from app.core.http.problems import add_problem_schema


def link_to(resource: str) -> dict[int | str, dict[str, Any]]:
    """Declare that the answer to a POST names what `read_`, `update_` and `delete_` take."""
    parameters = {f"{resource}_id": "$response.body#/id"}
    return {
        201: {
            "headers": {"Location": {"schema": {"type": "string"}}},
            "links": {
                f"{verb}_{resource}": {
                    "operationId": f"{verb}_{resource}",
                    "parameters": parameters,
                }
                for verb in ("read", "update", "delete")
            },
        }
    }


def install_openapi(app: FastAPI) -> None:
    """Complete the OpenAPI document with what FastAPI does not write itself."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = generate()
            add_problem_schema(app.openapi_schema)
            # {% if cookiecutter.use_auth %}
            # The scheme was declared before the prefix was known.
            schemes = app.openapi_schema["components"]["securitySchemes"]
            flow = schemes["OAuth2PasswordBearer"]["flows"]["password"]
            flow["tokenUrl"] = f"{app.state.settings.api_prefix}/auth/token"
            flow["refreshUrl"] = f"{app.state.settings.api_prefix}/auth/refresh"
            # {% endif %}
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
