"""Settings of traces and reports of errors, which need optional packages."""

import os
import re
from importlib.util import find_spec
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field, ValidationInfo, field_validator

from app.core.env_file import configured
from app.core.environment import EnvironmentSettings

# The module that a setting needs, and the extra of the project that installs it.
_NEEDED: Final = {
    "otel_exporter_otlp_endpoint": ("opentelemetry.exporter.otlp.proto.http", "telemetry"),
    "sentry_dsn": ("sentry_sdk", "sentry"),
}

# The samplers of OpenTelemetry's SDK for Python. It replaces other names by the default, with a
# warning.
Sampler = Literal[
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
]


# What OpenTelemetry accepts. It logs any other header with its value, and sends none.
_HEADER: Final = re.compile(r"""[\w!#$%&'*+.^`|~-]+[ \t]*=[ !#-+\--:<-\[\]-~]*""", re.ASCII)


class TelemetrySettings(EnvironmentSettings):
    """Settings of OpenTelemetry, by its own standard names, and of Sentry."""

    otel_exporter_otlp_endpoint: str = Field(
        default="",
        validate_default=True,
        pattern=r"^(https?://[^/\s].*)?$",
        description="The receiver of traces (OTLP over HTTP), such as http://collector:4318.",
    )
    otel_exporter_otlp_protocol: Literal["http/protobuf"] = Field(
        default="http/protobuf",
        description="The protocol of the receiver; gRPC (port 4317) is not supported.",
    )
    otel_exporter_otlp_headers: str = Field(
        default="",
        validate_default=True,
        repr=False,
        description="Headers for the receiver, such as api-key=secret.",
    )
    otel_propagators: str = Field(
        default="tracecontext",
        pattern=r"^(tracecontext|baggage)(\s*,\s*(tracecontext|baggage))*$",
        description="What carries a trace on: traceparent. Baggage, which clients choose, is ignored.",
    )
    otel_service_name: str = Field(
        default="", description="The service's name in traces, by default the project's."
    )
    otel_resource_attributes: str = Field(
        default="",
        description="More attributes of the service, such as deployment.environment.name=staging.",
    )
    otel_traces_sampler: Sampler = Field(
        default="parentbased_always_on", description="Which requests are traced."
    )
    otel_traces_sampler_arg: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="The share of requests that are traced by a sampler with a ratio, 0 to 1.",
    )
    sentry_dsn: str = Field(
        default="",
        pattern=r"^(https?://[^@/\s]+@[^/\s]+/(\S+/)?\d+)?$",
        repr=False,
        description="The project in Sentry that unexpected errors are sent to, as Sentry shows it.",
    )
    sentry_environment: str = Field(
        default="production", description="The environment that Sentry shows for an error."
    )

    @field_validator(*_NEEDED)
    @classmethod
    def require_package(cls, value: str, info: ValidationInfo) -> str:
        """Refuse a setting whose package is not installed."""
        module, extra = _NEEDED[info.field_name or ""]
        if value and not _is_installed(module):
            raise ValueError(
                f"needs packages that are not installed: run `uv sync --extra {extra}`, or build the "
                f"image with --build-arg EXTRAS={extra}"
            )
        return value

    @field_validator("otel_exporter_otlp_endpoint", "sentry_dsn")
    @classmethod
    def refuse_wrong_host(cls, value: str, info: ValidationInfo) -> str:
        """Refuse a URL without a valid host and port, and a DSN without a key; the message omits it."""
        try:
            parts = urlsplit(value)
            is_valid = parts.hostname and parts.port != 0
        except ValueError:
            is_valid = False
        if value and not is_valid:
            raise ValueError("the host or the port of the URL is not valid")
        if value and info.field_name == "sentry_dsn" and not parts.username:
            raise ValueError("the URL has no public key")
        return value

    @field_validator("otel_exporter_otlp_endpoint")
    @classmethod
    def refuse_endpoint_of_traces_alone(cls, value: str) -> str:
        """Refuse OpenTelemetry's variable for an endpoint of traces alone, which turns nothing on."""
        if not value and configured("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
            raise ValueError(
                "not set, and OTEL_EXPORTER_OTLP_TRACES_ENDPOINT alone turns nothing on; set both, or "
                "this one"
            )
        return value

    @field_validator("otel_exporter_otlp_headers")
    @classmethod
    def refuse_malformed_headers(cls, value: str) -> str:
        """Refuse headers that OpenTelemetry or HTTP does not accept. The message omits these secrets."""
        of_traces = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "")
        for header in filter(None, map(str.strip, f"{value},{of_traces}".split(","))):
            _, _, text = header.partition("=")
            if not _HEADER.fullmatch(header) or not unquote(text).isprintable():
                raise ValueError(
                    "not valid; write name=value, with commas between, and %2C for a comma in a value "
                    "(OTEL_EXPORTER_OTLP_TRACES_HEADERS likewise)"
                )
        return value

    @property
    def otel_variables(self) -> dict[str, str]:
        """The variables of OpenTelemetry that are set, in the environment or in files."""
        set_ = self.model_dump(exclude_unset=True)
        return {name.upper(): str(set_[name]) for name in set_ if name.startswith("otel_")}


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it
        return False
