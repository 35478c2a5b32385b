"""What Jira may answer, as the stable codes, with its own messages passed through. Source: its `ErrorCollection`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from gatelodge import ErrorCode, ToolError

CODES: Mapping[int, ErrorCode] = {
    400: ErrorCode.VALIDATION_ERROR,
    401: ErrorCode.UPSTREAM_4XX,
    403: ErrorCode.FORBIDDEN,
    404: ErrorCode.NOT_FOUND,
    409: ErrorCode.CONFLICT,
    422: ErrorCode.VALIDATION_ERROR,
    429: ErrorCode.RATE_LIMITED,
    503: ErrorCode.UPSTREAM_5XX,
}
SENTENCES: Mapping[int, str] = {
    401: "Jira did not accept the credentials of this instance; its operator has to renew them.",
    403: "The account of this instance may not do that in Jira.",
    404: "Jira has no such thing, or the account of this instance may not see it.",
    409: "Jira has changed this at the same time; read it again and retry.",
    413: "Jira finds this too large.",
    429: "Jira asks to wait.",
}
LONGEST = 1000


def refusal(instance: str, status: int, headers: Mapping[str, str], body: bytes) -> ToolError:
    """The error of a reply with a status of 300 or more."""
    messages, errors = _collection(body)
    code = CODES.get(status) or (ErrorCode.UPSTREAM_5XX if status >= 500 else ErrorCode.UPSTREAM_4XX)
    said = "; ".join([*messages, *(f"{name}: {text}" for name, text in errors.items())])[:LONGEST]
    details: dict[str, Any] = {"instance": instance, "status": status}
    if messages:
        details["messages"] = messages
    if errors:
        details["fields"] = {name: [text] for name, text in errors.items()}
    if "RateLimit-Reason" in headers:
        details["reason"] = headers["RateLimit-Reason"]
    sentence = SENTENCES.get(status, f"Jira answered {status}.")
    return ToolError(
        code, f"{sentence} It says: {said}" if said else sentence, details=details, retry_after=retry_after(headers)
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, of either form of the header. Source: RFC 9110, section 10.2.3."""
    text = headers.get("Retry-After", "").strip()
    if text.isdigit():
        return float(text)
    try:
        return max((parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds(), 0.0) if text else None
    except (ValueError, TypeError):  # no date, or one without its zone
        return None


def unreachable(instance: str, error: Exception) -> ToolError:
    """The connection failed; the reason names the kind of failure, never an address or a credential."""
    if isinstance(error, TimeoutError):
        return ToolError(ErrorCode.TIMEOUT, "Jira did not answer in time.", details={"instance": instance})
    reason = type(error).__name__
    return ToolError(
        ErrorCode.NETWORK_ERROR, f"Jira cannot be reached ({reason}).", details={"instance": instance, "reason": reason}
    )


def invalid(field: str, sentence: str, **details: Any) -> ToolError:
    """A `validation_error` about one argument."""
    return ToolError(
        ErrorCode.VALIDATION_ERROR, f"{field}: {sentence}", details={"fields": {field: [sentence]}, **details}
    )


def _collection(body: bytes) -> tuple[list[str], dict[str, str]]:
    try:
        said = msgspec.json.decode(body)
    except msgspec.DecodeError:  # a proxy's page, say
        return [], {}
    if not isinstance(said, dict):
        return [], {}
    messages = [str(item) for item in said.get("errorMessages") or []]
    if not messages and isinstance(said.get("message"), str):
        messages = [said["message"]]
    errors = said.get("errors")
    return messages, {k: str(v) for k, v in errors.items()} if isinstance(errors, dict) else {}
