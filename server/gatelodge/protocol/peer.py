"""The other side of a message: which revision it speaks, who it is, and how to reach it while a call runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..contract import JSON, LogLevel, Principal
from ..questions import TASKS, CannotAsk, Question
from . import asking
from .jsonrpc import notification
from .revisions import Revision
from .taskboard import Offer

LEVELS: tuple[LogLevel, ...] = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")

Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Ask = Callable[[Mapping[str, Question[Any]]], Awaitable[Mapping[str, Any]]]
HangUp = Callable[[float], Awaitable[None]]


async def unheard(message: Mapping[str, Any]) -> None:
    """For a door with no way to send anything but the answer."""


@dataclass(frozen=True, slots=True)
class CallHeaders:
    """The HTTP headers that concern a call: `Idempotency-Key`, `traceparent` and `tracestate`."""

    idempotency_key: str | None = None
    trace: str | None = None
    tracestate: str | None = None


NO_HEADERS = CallHeaders()


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What a door offers for one message. `send` sends a message related to it; `hang_up` ends the connection, not the call.

    `reply_headers` takes what belongs into the headers of the reply, where the door has such. `principal` is who sent
    this message, where a door asks that of each one: a new token may have other scopes than the session began with.
    """

    send: Send = unheard
    hang_up: HangUp | None = None
    headers: CallHeaders = NO_HEADERS
    reply_headers: dict[str, str] | None = None
    principal: Principal | None = None


NO_LINE = Line()


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """`log_level` is the least severe one wanted; `ask` is how a session's client is asked, None where it cannot be."""

    revision: Revision
    principal: Principal
    door: str
    request_id: str
    line: Line = NO_LINE
    log_level: LogLevel | None = None
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    ask: Ask | None = None


@dataclass(frozen=True, slots=True)
class PeerChannel:
    """A call's channel to its client: progress only for who gave a token, log lines only from the wanted level up."""

    peer: Peer
    progress_token: str | int | None
    asks: Ask | None = None
    offer: Offer | None = None

    @property
    def waits(self) -> bool:
        return self.offer is not None or (self.asks is not None and not self.peer.revision.stateless)

    async def progress(self, progress: float, total: float | None, message: str | None) -> None:
        if self.offer is not None and self.offer.task is not None:
            return self.offer.task.note(message)
        if self.progress_token is None:
            return None
        params: dict[str, Any] = {"progressToken": self.progress_token, "progress": progress}
        if total is not None:
            params["total"] = total
        if message is not None and self.peer.revision.annotations:
            params["message"] = message
        return await self.peer.line.send(notification("notifications/progress", params))

    async def log(self, level: LogLevel, data: JSON, logger: str | None) -> None:
        wanted = self.peer.log_level if self.offer is None or self.offer.task is None else None
        if wanted is None or LEVELS.index(level) < LEVELS.index(wanted):
            return
        params = {"level": level, "data": data} | ({"logger": logger} if logger else {})
        await self.peer.line.send(notification("notifications/message", params))

    def can_ask(self, kind: type[Question[Any]]) -> bool:
        return self.asks is not None and asking.supports(kind, self.peer.capabilities, self.peer.revision)

    async def ask(self, questions: Mapping[str, Question[Any]]) -> Mapping[str, Any]:
        missing = [asking.required(type(item)) for item in questions.values() if not self.can_ask(type(item))]
        if missing or self.asks is None:
            raise CannotAsk({name: value for members in missing for name, value in members.items()})
        return await self.asks(questions)

    async def hang_up(self, retry: float) -> None:
        if self.peer.line.hang_up is not None and self.peer.revision.polling:
            await self.peer.line.hang_up(retry)

    async def become_task(self, ttl: float, required: bool) -> bool:
        if self.offer is not None:
            self.offer.take(ttl)
        elif required:
            raise CannotAsk(TASKS)
        return self.offer is not None
