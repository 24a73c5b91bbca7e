"""The old name of `app.core.observability.logs`, until 0.4."""

from app.core.observability.line_formats import EscapedRecord as EscapedRecord
from app.core.observability.line_formats import escape as escape
from app.core.observability.logs import configure_logging as configure_logging
