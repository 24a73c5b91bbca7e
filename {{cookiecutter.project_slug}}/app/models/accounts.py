"""The tables of accounts."""

from app.models.auth.login_session import LoginSession as LoginSession
from app.models.auth.one_time_token import OneTimeToken as OneTimeToken
from app.models.auth.rate_limit import rate_limits as rate_limits
from app.models.user import User as User
