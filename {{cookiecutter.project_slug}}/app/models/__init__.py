"""The tables. Importing this package registers all of them on `Base.metadata`."""

from app.models.base import Base
from app.models.idempotency_key import IdempotencyKey
from app.models.post import Post

# {%- if cookiecutter.use_auth +%}
from app.models.rate_limit import rate_limits

# {%- endif +%}
from app.models.user import User

__all__ = [
    "Base",
    "IdempotencyKey",
    "Post",
    "User",
    # {% if cookiecutter.use_auth %}
    "rate_limits",
    # {% endif %}
]
