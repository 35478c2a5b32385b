"""OpenTelemetry's own environment variables, so far as they decide something here; the others are its SDK's to read.

Source: OpenTelemetry "Environment Variable Specification" and "OTLP Exporter Configuration".
"""

from __future__ import annotations

from dataclasses import dataclass

from marshmallow import fields, validate

from ..errors import StartupError
from ..settings import CommaSeparated, Environment, setting

PREFIXES = ("OTEL_EXPORTER_OTLP_", "OTEL_TRACES_", "OTEL_BSP_", "OTEL_SDK_", "OTEL_SERVICE_", "OTEL_PROPAGATORS")
LEFT_TO_SDK = frozenset(
    f"OTEL_EXPORTER_OTLP_{signal}{name}"
    for signal in ("", "TRACES_")
    for name in ("CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE", "COMPRESSION", "TIMEOUT", "INSECURE")
) | {"OTEL_BSP_EXPORT_TIMEOUT"}
OTHER_SIGNALS = frozenset(
    f"OTEL_EXPORTER_OTLP_{signal}_{name}"
    for signal in ("METRICS", "LOGS")
    for name in (
        *("ENDPOINT", "HEADERS", "PROTOCOL", "CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE", "COMPRESSION"),
        *("TIMEOUT", "INSECURE", "TEMPORALITY_PREFERENCE", "DEFAULT_HISTOGRAM_AGGREGATION"),
    )
)
SAMPLERS = (
    *("always_on", "always_off", "traceidratio"),
    *("parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio"),
)
PATH = "v1/traces"
HTTP_URL = fields.Url(require_tld=False, schemes={"http", "https"})
PROTOCOL = fields.String(validate=validate.Equal("http/protobuf", error="Only http/protobuf is spoken."))
COUNT = fields.Integer(validate=validate.Range(min=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class TracingSettings:
    """`batch_delay` is in milliseconds."""

    disabled: bool = setting("OTEL_SDK_DISABLED", fields.Boolean(), default=False, help="Whether traces are off.")
    exporter: str | None = setting(
        "OTEL_TRACES_EXPORTER",
        fields.String(validate=validate.OneOf(["otlp", "none"])),
        default=None,
        help="otlp or none; by default otlp where an endpoint is set. Needs the extra otel.",
    )
    endpoint: str = setting(
        "OTEL_EXPORTER_OTLP_ENDPOINT", HTTP_URL, default="", help="Base address that spans are sent to, by OTLP/HTTP."
    )
    traces_endpoint: str = setting(
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        HTTP_URL,
        default="",
        help="The whole address, where it is not the base's.",
    )
    protocol: str = setting(
        "OTEL_EXPORTER_OTLP_PROTOCOL", PROTOCOL, default="http/protobuf", help="Only http/protobuf."
    )
    traces_protocol: str = setting(
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", PROTOCOL, default="http/protobuf", help="Only http/protobuf."
    )
    headers: str = setting(
        "OTEL_EXPORTER_OTLP_HEADERS",
        fields.String(),
        default="",
        help="Headers sent with spans: name=value,name=value.",
        secret=True,
    )
    traces_headers: str = setting(
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
        fields.String(),
        default="",
        help="The same, in place of those.",
        secret=True,
    )
    service: str = setting("OTEL_SERVICE_NAME", fields.String(), default="gatelodge", help="service.name of the spans.")
    sampler: str = setting(
        "OTEL_TRACES_SAMPLER",
        fields.String(validate=validate.OneOf(SAMPLERS)),
        default="parentbased_always_on",
        help="Which traces are kept; parentbased ones do as the caller's trace context says.",
    )
    ratio: float = setting(
        "OTEL_TRACES_SAMPLER_ARG",
        fields.Float(validate=validate.Range(min=0, max=1)),
        default=1.0,
        help="The part of traces that traceidratio samplers keep.",
    )
    propagators: tuple[str, ...] = setting(
        "OTEL_PROPAGATORS",
        CommaSeparated(validate=validate.ContainsOnly(["tracecontext", "baggage"])),
        default=("tracecontext",),
        help="tracecontext; baggage may be named, but is not read.",
    )
    batch_delay: int = setting(
        "OTEL_BSP_SCHEDULE_DELAY", COUNT, default=5000, help="Milliseconds between two batches of spans."
    )
    batch_size: int = setting("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", COUNT, default=512, help="Spans in a batch.")
    queue_size: int = setting(
        "OTEL_BSP_MAX_QUEUE_SIZE", COUNT, default=2048, help="Spans that may wait; more push out the oldest."
    )
    outgoing: bool = setting(
        "GATELODGE_TRACE_OUTGOING",
        fields.Boolean(),
        default=False,
        help="Whether requests to Jira carry traceparent, which tells it the ids of our traces.",
    )

    @property
    def on(self) -> bool:
        wanted = self.exporter == "otlp" or bool(self.exporter is None and (self.endpoint or self.traces_endpoint))
        return wanted and not self.disabled

    @property
    def url(self) -> str | None:
        """Where spans go; None for the SDK's default, a collector on this machine."""
        return self.traces_endpoint or (f"{self.endpoint.rstrip('/')}/{PATH}" if self.endpoint else None)

    def refuse_half(self) -> None:
        """Raises `StartupError` for settings that can have no effect, or contradict each other."""
        if self.batch_size > self.queue_size:
            raise StartupError(
                "setting_invalid", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE may not be more than OTEL_BSP_MAX_QUEUE_SIZE"
            )
        if self.on or self.disabled or self.exporter == "none":
            return
        aimless = {
            "OTEL_EXPORTER_OTLP_HEADERS": self.headers,
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS": self.traces_headers,
            "GATELODGE_TRACE_OUTGOING": self.outgoing,
        }
        for name, value in aimless.items():
            if value:
                raise StartupError("setting_invalid", f"{name} is set, but traces are off: set {_ENDPOINT}")


_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT, or OTEL_TRACES_EXPORTER=otlp for a collector on this machine"


def read_settings(environment: Environment) -> TracingSettings:
    """Raises `StartupError` for a value that does not fit, and for half a configuration."""
    environment.claim(*PREFIXES, foreign=LEFT_TO_SDK | OTHER_SIGNALS)
    settings = environment.read(TracingSettings)
    settings.refuse_half()
    return settings
