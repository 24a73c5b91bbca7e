"""The tables. Importing this package registers them on `Base.metadata`."""

from app.core.database.metadata import metadata as metadata

# {%- if cookiecutter.use_auth +%}
from app.models.auth.login_session import LoginSession as LoginSession
from app.models.auth.one_time_token import OneTimeToken as OneTimeToken
from app.models.auth.rate_limit import rate_limits as rate_limits

# {%- endif +%}
from app.models.base import Base as Base
from app.models.idempotency_key import IdempotencyKey as IdempotencyKey
from app.models.post import Post as Post
from app.models.post_like import post_likes as post_likes
from app.models.user import User as User
