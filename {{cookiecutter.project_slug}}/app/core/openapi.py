from typing import Any

from fastapi import FastAPI

from app.core.problems import add_problem_schema


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
            token_url = f"{app.state.settings.api_prefix}/auth/token"
            schemes["OAuth2PasswordBearer"]["flows"]["password"]["tokenUrl"] = token_url
            # {% endif %}
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
