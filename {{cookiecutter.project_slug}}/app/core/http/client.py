"""The old name of `app.core.http.client_info`, until 0.4."""

from app.core.http.client_info import MAX_USER_AGENT as MAX_USER_AGENT
from app.core.http.client_info import ClientInfo as ClientInfo
