"""Reports to Sentry, by its SDK as a mere sender: it instruments nothing, and sees what we made and no more.

Source: https://develop.sentry.dev/sdk/data-model/event-payloads/
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from ..errors import StartupError
from ..redaction import redact
from .report import Raised, Report

if TYPE_CHECKING:
    from sentry_sdk import Client
    from sentry_sdk.types import Event, Hint

CLOSING = 2.0
"""Seconds for what is not sent yet when the server stops."""


class Sentry:
    """The SDK queues and sends in a thread of its own, and drops what there is no room for."""

    def __init__(self, dsn: str, *, version: str, replica: str) -> None:
        self._client = _client(dsn, version, replica)

    def add(self, report: Report) -> None:
        self._client.capture_event(cast("Event", event_of(report)))

    async def close(self) -> None:
        await asyncio.to_thread(self._client.close, timeout=CLOSING)


def event_of(report: Report) -> dict[str, Any]:
    """As Sentry reads it: the exception that was seen comes last, its causes before."""
    subject = report.subject
    tags = {"kind": subject.kind, "name": subject.name, "plugin": subject.plugin, "door": subject.door}
    return {
        "level": "error",
        "timestamp": report.at.isoformat(),
        "transaction": f"{subject.kind} {subject.name}",
        "tags": {name: value for name, value in tags.items() if value} | {"request_id": subject.request_id},
        "extra": {"left_out": report.left_out},
        "exception": {"values": [_value(item) for item in reversed(report.raised)]},
    }


def _value(raised: Raised) -> dict[str, Any]:
    frames = [
        {"filename": frame.file, "lineno": frame.line, "function": frame.function, "context_line": frame.code}
        for frame in raised.frames
    ]
    return {"type": raised.type, "module": raised.module, "stacktrace": {"frames": frames}}


def _client(dsn: str, version: str, replica: str) -> Client:
    """Raises `StartupError` where the SDK is not installed, or does not take the DSN."""
    try:
        from sentry_sdk import Client
        from sentry_sdk.utils import BadDsn
    except ImportError:
        raise StartupError(
            "setting_invalid", "GATELODGE_SENTRY_DSN needs Sentry's SDK: pip install 'gatelodge[sentry]'"
        ) from None
    try:
        return Client(
            dsn=dsn,
            release=f"gatelodge@{version}",
            server_name=replica,
            before_send=_before_send,
            include_local_variables=False,
            default_integrations=False,
            auto_enabling_integrations=False,
            auto_session_tracking=False,
            send_client_reports=False,
            max_breadcrumbs=0,
        )
    except BadDsn:
        raise StartupError("setting_invalid", "GATELODGE_SENTRY_DSN: Not a DSN of Sentry.") from None


def _before_send(event: Event, hint: Hint) -> Event | None:
    clean: Event = redact(event)
    return clean
