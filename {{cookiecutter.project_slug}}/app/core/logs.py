"""The old name of `app.core.observability.logs`, until 0.4."""

from app.core.observability.logs import EscapedRecord as EscapedRecord
from app.core.observability.logs import configure_logging as configure_logging
from app.core.observability.logs import escape as escape
