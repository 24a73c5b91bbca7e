"""Reports of unexpected errors to Sentry.

Imported only if they are on (`app.core.observability.telemetry`).
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import sentry_sdk
from sentry_sdk.types import Event, Hint

from app import __version__
from app.core.observability.repeated_lines import once_a_minute
from app.core.observability.requests import current_request
from app.core.observability.shutdown import ShutdownDeadline
from app.core.telemetry_settings import TelemetrySettings

# If Sentry cannot be reached, it logs three warnings for each report.
_TRANSPORT: Final = "urllib3.connectionpool"


@asynccontextmanager
async def sending_to_sentry(
    settings: TelemetrySettings, deadline: ShutdownDeadline
) -> AsyncGenerator[None]:
    """Send errors that are logged with a traceback, within the block.

    None of Sentry's integrations is used: they replace methods of other packages, and would
    report logged errors a second time.
    """
    sentry_sdk.init(
        settings.sentry_dsn,
        release=__version__,
        environment=settings.sentry_environment,
        before_send=_without_values,
        # Local variables and bodies may be secrets or personal data.
        data_collection={"user_info": False, "http_bodies": [], "stack_frame_variables": False},
        max_breadcrumbs=0,
        default_integrations=False,
        auto_enabling_integrations=False,
    )
    handler = SentryHandler(logging.ERROR)
    logging.getLogger().addHandler(handler)
    with once_a_minute(_TRANSPORT):
        try:
            yield
        finally:
            logging.getLogger().removeHandler(handler)
            await asyncio.to_thread(sentry_sdk.get_client().close, deadline.share())


class SentryHandler(logging.Handler):
    """Sends the exception of a log record, with the id and the route of the request as tags.

    Every unexpected error is logged once with its traceback, whether in a request, a background task
    or a task of the event loop. Domain errors are logged without.
    """

    def emit(self, record: logging.LogRecord) -> None:
        if not record.exc_info or not record.exc_info[1]:
            return
        try:
            self._send(record)
        except Exception:  # noqa: BLE001 (it would take the place of the error that is reported)
            self.handleError(record)

    def _send(self, record: logging.LogRecord) -> None:
        with sentry_sdk.new_scope() as scope:
            scope.set_tag("logger", record.name)
            scope.set_tags(getattr(record, "line_context", {}))
            if (request := current_request()) and request.route:
                scope.set_transaction_name(f"{request.method} {request.route}")
            scope.capture_exception(record.exc_info)


def _without_values(event: Event, _hint: Hint) -> Event:
    """Keep the first line of messages of Python and the project, and drop those of other packages.

    Drivers quote parameters and rows, and Pydantic quotes values.
    """
    for exception in event.get("exception", {}).get("values", []):
        package = str(exception.get("module") or "").partition(".")[0]
        message = str(exception.get("value") or "") if package in {"", "app"} else ""
        exception["value"] = message.partition("\n")[0]
    return event
