"""The one shape of a failure and its stable codes.

Anything that goes wrong on the way of a call is raised as a `ToolError`; `dispatch` turns it into a `Result` once, and each
door renders that result in its own form. The HTTP status of a code is decided here and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any


class ErrorCode(StrEnum):
    """Codes a client may rely on; they never change their meaning."""

    VALIDATION_ERROR = "validation_error"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    RATE_LIMITED = "rate_limited"
    CONFLICT = "conflict"
    NOT_FOUND = "not_found"
    UPSTREAM_4XX = "upstream_4xx"
    UPSTREAM_5XX = "upstream_5xx"
    TIMEOUT = "timeout"
    NETWORK_ERROR = "network_error"
    OUTCOME_UNKNOWN = "outcome_unknown"
    DISABLED = "disabled"
    INTERNAL = "internal"


FAULTS = frozenset(
    {
        ErrorCode.UPSTREAM_5XX,
        ErrorCode.TIMEOUT,
        ErrorCode.NETWORK_ERROR,
        ErrorCode.OUTCOME_UNKNOWN,
        ErrorCode.INTERNAL,
    }
)
"""What is not the caller's doing: worth an operator's look."""

HTTP_STATUS: Mapping[ErrorCode, int] = {
    ErrorCode.VALIDATION_ERROR: 400,
    ErrorCode.UNAUTHORIZED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.CONFLICT: 409,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.UPSTREAM_4XX: 502,
    ErrorCode.UPSTREAM_5XX: 502,
    ErrorCode.TIMEOUT: 504,
    ErrorCode.NETWORK_ERROR: 502,
    ErrorCode.OUTCOME_UNKNOWN: 502,
    ErrorCode.DISABLED: 503,
    ErrorCode.INTERNAL: 500,
}


class ToolError(Exception):
    """A failure with a stable code, raised by a tool, a middleware or an authenticator.

    `message` is one sentence for a person or a model; `details` is a JSON object, for `validation_error` a mapping of field
    to a list of sentences; `retry_after` is in seconds; `status` overrides the HTTP status of the code (422 for a reused
    idempotency key); `headers` are added to an HTTP reply. None of them may hold a secret.
    """

    def __init__(
        self,
        code: ErrorCode | str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        retry_after: float | None = None,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = ErrorCode(code)
        self.message = message
        self.details = dict(details or {})
        self.retry_after = retry_after
        self.status = status or HTTP_STATUS[self.code]
        self.headers = dict(headers or {})

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    @property
    def reply_headers(self) -> dict[str, str]:
        """The headers of an HTTP reply, `Retry-After` among them: in whole seconds, never too early."""
        if self.retry_after is None:
            return self.headers
        return {**self.headers, "Retry-After": str(max(1, math.ceil(self.retry_after)))}


def describe(error: ToolError, request_id: str) -> dict[str, Any]:
    """The one shape of an error on every door, without empty members."""
    body: dict[str, Any] = {"code": error.code.value, "message": error.message}
    if error.details:
        body["details"] = error.details
    if error.retry_after is not None:
        body["retry_after"] = error.retry_after
    body["request_id"] = request_id
    body["timestamp"] = datetime.now(UTC).isoformat(timespec="milliseconds")
    return body


class StartupError(Exception):
    """The server cannot start; the message is one line an operator can act on, `code` is stable.

    Codes: `setting_invalid setting_unknown plugin_conflict plugin_unknown_hook plugin_broken port_taken storage
    unsafe_bind unauthorized migration template_invalid`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
