"""A session of an older revision: what `initialize` agreed on, for as long as the client keeps it.

The same class serves Streamable HTTP sessions, HTTP+SSE streams and stdio; only stdio and HTTP+SSE let it also answer
stateless requests that come down the same pipe.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from ..contract import LogLevel, Principal
from ..notices import Notice
from ..questions import Question
from .asking import ServerRequests
from .jsonrpc import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    RESOURCE_NOT_FOUND,
    Message,
    ProtocolError,
)
from .methods import Answer, Protocol
from .parameters import CAPABILITIES_KEY, LOG_LEVEL_KEY, stateless_revision, string
from .peer import LEVELS, NO_LINE, Ask, Line, Peer, Send, unheard
from .revisions import Revision, negotiate
from .subscriptions import LONGEST_URI, MOST_RESOURCES, message_of


@dataclass(slots=True)
class Conversation:
    """`revision` is None until `initialize`; `principal` is who opened it, and the only one it serves.

    `changing` is entered while the log level or the subscriptions change, for who keeps them elsewhere too.
    """

    protocol: Protocol
    principal: Principal
    door: str
    revision: Revision | None = None
    log_level: LogLevel = "info"
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    subscribed: set[str] = field(default_factory=set)
    requests: ServerRequests = field(default_factory=ServerRequests)
    changing: Callable[[], AbstractAsyncContextManager[None]] = nullcontext

    async def answer(self, message: Message, request_id: str, line: Line = NO_LINE) -> Answer:
        """The result of a request. Raises `ProtocolError`."""
        if message.method == "initialize":
            return self._initialize(message)
        if message.method == "ping":
            return {}
        stateless = stateless_revision(message)
        if stateless is not None:
            peer = stateless_peer(message, stateless, line.principal or self.principal, self.door, request_id, line)
            return await self.protocol.answer(message, peer)
        if self.revision is None:
            if message.method == "server/discover":
                raise ProtocolError(INVALID_PARAMS, "_meta: the protocol version is missing", id=message.id)
            raise ProtocolError(INVALID_REQUEST, "Send initialize first", id=message.id)
        own = {
            "logging/setLevel": self._set_level,
            "resources/subscribe": self._subscribe,
            "resources/unsubscribe": self._unsubscribe,
        }.get(message.method or "")
        if own is None:
            return await self.protocol.answer(message, self._peer(self.revision, request_id, line))
        async with self.changing():
            return own(message)

    def hears(self, notice: Notice) -> dict[str, Any] | None:
        """The notification this client gets of a notice, if it gets one."""
        if self.revision is None or notice.kind == "task":
            return None
        if notice.kind == "resource" and notice.name not in self.subscribed:
            return None
        return message_of(notice)

    def _peer(self, revision: Revision, request_id: str, line: Line) -> Peer:
        return Peer(
            revision=revision,
            principal=line.principal or self.principal,
            door=self.door,
            request_id=request_id,
            line=line,
            log_level=self.log_level,
            capabilities=self.capabilities,
            ask=None if line.send is unheard else self._asker(revision, line.send),
        )

    def _asker(self, revision: Revision, send: Send) -> Ask:
        async def ask(questions: Mapping[str, Question[Any]]) -> Mapping[str, Any]:
            return await self.requests.ask(questions, revision, send)

        return ask

    def _initialize(self, message: Message) -> Answer:
        if self.revision is not None:
            raise ProtocolError(INVALID_REQUEST, "This session is initialised already", id=message.id)
        capabilities = message.params.get("capabilities", {})
        if not isinstance(message.params.get("protocolVersion"), str) or not isinstance(capabilities, dict):
            raise ProtocolError(
                INVALID_PARAMS, "protocolVersion must be a string, capabilities an object", id=message.id
            )
        self.revision = negotiate(message.params["protocolVersion"])
        self.capabilities = capabilities
        return self.protocol.initialize(self.revision)

    def _set_level(self, message: Message) -> Answer:
        level = message.params.get("level")
        if level not in LEVELS:
            raise ProtocolError(INVALID_PARAMS, f"level: must be one of {', '.join(LEVELS)}", id=message.id)
        self.log_level = level
        return {}

    def _subscribe(self, message: Message) -> Answer:
        uri = string(message, "uri")
        if len(uri) > LONGEST_URI:
            raise ProtocolError(INVALID_PARAMS, f"uri: may have {LONGEST_URI} characters", status=200)
        if not self.protocol.toolset.shows_resource(self.principal, uri):
            raise ProtocolError(RESOURCE_NOT_FOUND, f"There is no resource {uri!r}", data={"uri": uri}, status=200)
        if len(self.subscribed) >= MOST_RESOURCES:
            raise ProtocolError(INVALID_PARAMS, f"A session may subscribe to {MOST_RESOURCES} resources", status=200)
        self.subscribed.add(uri)
        return {}

    def _unsubscribe(self, message: Message) -> Answer:
        self.subscribed.discard(string(message, "uri"))
        return {}


def stateless_peer(
    message: Message, revision: Revision, principal: Principal, door: str, request_id: str, line: Line
) -> Peer:
    """The peer of a request that carries all about itself in `_meta`."""
    level = message.meta.get(LOG_LEVEL_KEY)
    if level is not None and level not in LEVELS:
        raise ProtocolError(INVALID_PARAMS, f"_meta: {LOG_LEVEL_KEY} must be one of {', '.join(LEVELS)}", id=message.id)
    if message.method == "initialize":
        raise ProtocolError(
            METHOD_NOT_FOUND, f"There is no method 'initialize' in {revision.name}", status=404, id=message.id
        )
    return Peer(
        revision=revision,
        principal=principal,
        door=door,
        request_id=request_id,
        line=line,
        log_level=level,
        capabilities=message.meta[CAPABILITIES_KEY],
    )
