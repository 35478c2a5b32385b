"""What is too much, as it is at the start; all but the window is live."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from marshmallow import fields, validate

from ..settings import setting
from ..switches import Switch, Switches
from .rules import Thresholds

ENABLED = "alerts_enabled"
ERRORS = "alert_threshold_errors"
ERROR_RATE = "alert_threshold_error_rate"
RESPONSE_TIME = "alert_threshold_response_time"

ABOUT_ENABLED = "Whether alerts on errors and response times fire."
ABOUT_ERRORS = "Calls in the window that fail through no fault of their caller, from which an alert fires; 0 for never."
ABOUT_ERROR_RATE = "Percent of the window's calls that fail so, from which an alert fires; 0 for never."
ABOUT_RESPONSE_TIME = "Milliseconds that 5 % of the window's calls may take before an alert fires; 0 for any."

NUMBER = fields.Float(validate=validate.Range(min=0))
PERCENT = fields.Float(validate=validate.Range(min=0, max=100))


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSettings:
    """`window` is in seconds."""

    enabled: bool = setting("MCP_ALERTS_ENABLED", fields.Boolean(), default=True, help=ABOUT_ENABLED)
    errors: float = setting("MCP_ALERT_THRESHOLD_ERRORS", NUMBER, default=10.0, help=ABOUT_ERRORS)
    error_rate: float = setting("MCP_ALERT_THRESHOLD_ERROR_RATE", PERCENT, default=5.0, help=ABOUT_ERROR_RATE)
    response_time: float = setting(
        "MCP_ALERT_THRESHOLD_RESPONSE_TIME", NUMBER, default=5000.0, help=ABOUT_RESPONSE_TIME
    )
    window: float = setting(
        "GATELODGE_ALERT_WINDOW",
        fields.Float(validate=validate.Range(min=1, max=86400)),
        default=300.0,
        help="Seconds of calls, of all replicas together, that alerts are about.",
    )

    def switches(self) -> Sequence[Switch]:
        on_or_off = fields.Boolean(truthy={True}, falsy={False})
        return (
            Switch(name=ENABLED, kind=on_or_off, default=self.enabled, help=ABOUT_ENABLED),
            Switch(name=ERRORS, kind=NUMBER, default=self.errors, help=ABOUT_ERRORS),
            Switch(name=ERROR_RATE, kind=PERCENT, default=self.error_rate, help=ABOUT_ERROR_RATE),
            Switch(name=RESPONSE_TIME, kind=NUMBER, default=self.response_time, help=ABOUT_RESPONSE_TIME),
        )


def thresholds_of(switches: Switches) -> Thresholds:
    """As they are set now."""
    return Thresholds(
        errors=switches.get(ERRORS), error_rate=switches.get(ERROR_RATE), response_time=switches.get(RESPONSE_TIME)
    )
