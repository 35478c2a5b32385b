"""The other side of a message: which revision it speaks, who it is, and how to reach it while a call runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..contract import JSON, LogLevel, Principal
from .jsonrpc import notification
from .revisions import Revision

LEVELS: tuple[LogLevel, ...] = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")

Notify = Callable[[Mapping[str, Any]], Awaitable[None]]


async def unheard(message: Mapping[str, Any]) -> None:
    """For a door with no way to send a notification."""


@dataclass(frozen=True, slots=True)
class CallHeaders:
    """The HTTP headers that concern a call: `Idempotency-Key` and `traceparent`."""

    idempotency_key: str | None = None
    trace: str | None = None


NO_HEADERS = CallHeaders()


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """`notify` sends a JSON-RPC notification related to the message at hand; `log_level` is the least severe one wanted."""

    revision: Revision
    principal: Principal
    door: str
    request_id: str
    notify: Notify = unheard
    log_level: LogLevel | None = None
    headers: CallHeaders = NO_HEADERS
    capabilities: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PeerChannel:
    """A call's channel to its client: progress only for who gave a token, log lines only from the wanted level up."""

    notify: Notify
    progress_token: str | int | None
    log_level: LogLevel | None

    async def progress(self, progress: float, total: float | None, message: str | None) -> None:
        if self.progress_token is None:
            return
        params: dict[str, Any] = {"progressToken": self.progress_token, "progress": progress}
        if total is not None:
            params["total"] = total
        if message is not None:
            params["message"] = message
        await self.notify(notification("notifications/progress", params))

    async def log(self, level: LogLevel, data: JSON, logger: str | None) -> None:
        if self.log_level is None or LEVELS.index(level) < LEVELS.index(self.log_level):
            return
        params = {"level": level, "data": data} | ({"logger": logger} if logger else {})
        await self.notify(notification("notifications/message", params))
