from collections.abc import Callable

import pytest
from fastapi import FastAPI


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
def test_document_says_where_tokens_are(app_with: Callable[..., FastAPI], prefix: str) -> None:
    document = app_with(api_prefix=prefix).openapi()

    scheme = document["components"]["securitySchemes"]["OAuth2PasswordBearer"]
    assert scheme["flows"]["password"]["tokenUrl"] == f"{prefix}/auth/token"
    assert scheme["flows"]["password"]["refreshUrl"] == f"{prefix}/auth/refresh"
