"""The tables. Importing this package registers all of them on `Base.metadata`."""

from app.models.base import Base
from app.models.idempotency_key import IdempotencyKey

# {%- if cookiecutter.use_auth +%}
from app.models.auth.one_time_token import OneTimeToken

# {%- endif +%}
from app.models.post import Post

# {%- if cookiecutter.use_auth +%}
from app.models.auth.rate_limit import rate_limits

# {%- endif +%}
from app.models.user import User

# {%- if cookiecutter.use_auth +%}
from app.models.auth.login_session import LoginSession

# {%- endif +%}

# One to a line, so that lines which others add merge.
__all__ = [
    "Base",
    "IdempotencyKey",
    # {% if cookiecutter.use_auth %}
    "OneTimeToken",
    # {% endif %}
    "Post",
    "User",
    # {% if cookiecutter.use_auth %}
    "LoginSession",
    "rate_limits",
    # {% endif %}
]
