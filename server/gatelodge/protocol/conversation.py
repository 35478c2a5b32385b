"""A session of an older revision: what `initialize` agreed on, for as long as the client keeps it.

The same class serves Streamable HTTP sessions, HTTP+SSE streams and stdio; only stdio and HTTP+SSE let it also answer
stateless requests that come down the same pipe.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..contract import LogLevel, Principal
from .jsonrpc import INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, Message, ProtocolError
from .methods import CAPABILITIES_KEY, LOG_LEVEL_KEY, Answer, Protocol, stateless_revision
from .peer import LEVELS, NO_HEADERS, CallHeaders, Notify, Peer, unheard
from .revisions import Revision, negotiate


@dataclass(slots=True)
class Conversation:
    """`revision` is None until `initialize`; `principal` is who opened it, and the only one it serves."""

    protocol: Protocol
    principal: Principal
    door: str
    revision: Revision | None = None
    log_level: LogLevel | None = None
    capabilities: Mapping[str, Any] = field(default_factory=dict)

    async def answer(
        self, message: Message, request_id: str, *, notify: Notify = unheard, headers: CallHeaders = NO_HEADERS
    ) -> Answer:
        """The result of a request. Raises `ProtocolError`."""
        if message.method == "initialize":
            return self._initialize(message)
        stateless = stateless_revision(message)
        if stateless is not None:
            peer = stateless_peer(message, stateless, self.principal, self.door, request_id, notify, headers)
            return await self.protocol.answer(message, peer)
        if self.revision is None:
            if message.method == "ping":
                return {}
            if message.method == "server/discover":
                raise ProtocolError(INVALID_PARAMS, "_meta: the protocol version is missing", id=message.id)
            raise ProtocolError(INVALID_REQUEST, "Send initialize first", id=message.id)
        if message.method == "logging/setLevel":
            return self._set_level(message)
        peer = Peer(
            revision=self.revision,
            principal=self.principal,
            door=self.door,
            request_id=request_id,
            notify=notify,
            log_level=self.log_level,
            capabilities=self.capabilities,
            headers=headers,
        )
        return await self.protocol.answer(message, peer)

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


def stateless_peer(
    message: Message,
    revision: Revision,
    principal: Principal,
    door: str,
    request_id: str,
    notify: Notify,
    headers: CallHeaders,
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
        notify=notify,
        log_level=level,
        capabilities=message.meta[CAPABILITIES_KEY],
        headers=headers,
    )
