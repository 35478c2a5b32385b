"""What each MCP method does: a request of a `Peer` in, the result of its JSON-RPC response out. No I/O of its own."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from ..contract import Result
from ..dispatch import CompiledTool
from ..errors import ErrorCode, ToolError, describe
from ..toolset import Origin, Toolset, alias
from . import render
from .jsonrpc import INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND, UNSUPPORTED_VERSION, Message, ProtocolError
from .peer import Peer, PeerChannel
from .revisions import REVISIONS, Revision

VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES_KEY = "io.modelcontextprotocol/clientCapabilities"
SERVER_INFO_KEY = "io.modelcontextprotocol/serverInfo"
LOG_LEVEL_KEY = "io.modelcontextprotocol/logLevel"

PAGE = 100
LIST_TTL_MS = 60_000
DISCOVER_TTL_MS = 3_600_000

Answer = dict[str, Any]


class Protocol:
    """The MCP face of a toolset."""

    def __init__(
        self, toolset: Toolset, *, version: str, instructions: str = "", underscore_names: bool = False
    ) -> None:
        self.toolset = toolset
        self._info = {"name": "gatelodge", "title": "Gatelodge", "version": version}
        self._instructions = instructions
        self._listed_name: Callable[[str], str] = alias if underscore_names else str
        self._definitions = {
            (revision.name, name): msgspec.Raw(msgspec.json.encode(self._define(tool, revision)))
            for revision in REVISIONS.values()
            for name, tool in toolset.tools.items()
        }
        self._methods: dict[str, Callable[[Message, Peer], Awaitable[Answer]]] = {
            "ping": self._ping,
            "tools/list": self._list_tools,
            "tools/call": self._call_tool,
            "resources/list": self._list_resources,
            "resources/templates/list": self._list_templates,
            "resources/read": self._read_resource,
            "prompts/list": self._list_prompts,
            "prompts/get": self._get_prompt,
        }

    async def answer(self, message: Message, peer: Peer) -> Answer:
        """The `result` member of the response. Raises `ProtocolError`."""
        method = message.method or ""
        handler = (
            self._discover if method == "server/discover" and peer.revision.stateless else self._methods.get(method)
        )
        if handler is None or (method == "ping" and peer.revision.stateless):
            raise ProtocolError(METHOD_NOT_FOUND, f"There is no method {method!r} in {peer.revision.name}", status=404)
        answer = await handler(message, peer)
        return self._complete(answer) if peer.revision.stateless else answer

    def initialize(self, revision: Revision) -> Answer:
        """`InitializeResult` of a session revision."""
        answer = {"protocolVersion": revision.name, "capabilities": self.capabilities(), "serverInfo": self._info}
        return answer | ({"instructions": self._instructions} if self._instructions else {})

    def capabilities(self) -> dict[str, Any]:
        offered = {"tools": True, "resources": self.toolset.resources, "prompts": self.toolset.prompts}
        return {name: {} for name, present in offered.items() if present}

    def _define(self, tool: CompiledTool, revision: Revision) -> dict[str, Any]:
        return render.tool(tool, self._listed_name(tool.tool.name), revision)

    def _complete(self, answer: Answer) -> Answer:
        meta = {SERVER_INFO_KEY: self._info} | answer.get("_meta", {})
        return {"resultType": "complete"} | answer | {"_meta": meta}

    async def _ping(self, message: Message, peer: Peer) -> Answer:
        return {}

    async def _discover(self, message: Message, peer: Peer) -> Answer:
        answer = {
            "supportedVersions": list(REVISIONS),
            "capabilities": self.capabilities(),
            "instructions": self._instructions,
        }
        return answer | {"ttlMs": DISCOVER_TTL_MS, "cacheScope": "public"}

    async def _list_tools(self, message: Message, peer: Peer) -> Answer:
        visible = self.toolset.visible_tools(peer.principal)
        wire = [self._definitions[peer.revision.name, compiled.tool.name] for compiled in visible]
        return _page("tools", wire, message, peer)

    async def _list_resources(self, message: Message, peer: Peer) -> Answer:
        wire = [render.resource(item.item, peer.revision) for item in self.toolset.visible_resources(peer.principal)]
        return _page("resources", [item for item in wire if "uri" in item], message, peer)

    async def _list_templates(self, message: Message, peer: Peer) -> Answer:
        wire = [render.resource(item.item, peer.revision) for item in self.toolset.visible_resources(peer.principal)]
        return _page("resourceTemplates", [item for item in wire if "uriTemplate" in item], message, peer)

    async def _list_prompts(self, message: Message, peer: Peer) -> Answer:
        return _page(
            "prompts",
            [render.prompt(p.item, peer.revision) for p in self.toolset.visible_prompts(peer.principal)],
            message,
            peer,
        )

    async def _call_tool(self, message: Message, peer: Peer) -> Answer:
        name, arguments = _string(message, "name"), _object(message, "arguments")
        try:
            result = await self.toolset.call_tool(name, arguments, self._origin(message, peer))
        except ToolError as error:
            raise _fault(error, peer.request_id) from None
        if not peer.revision.input_errors_in_result and _is_input_error(result):
            raise _fault(result.error, peer.request_id)
        return render.tool_result(result, peer.request_id, peer.revision)

    async def _read_resource(self, message: Message, peer: Peer) -> Answer:
        uri = _string(message, "uri")
        result = await self._or_fault(self.toolset.read_resource(uri, self._origin(message, peer)), peer)
        answer = render.resource_result(result)
        return answer | {"ttlMs": 0, "cacheScope": "private"} if peer.revision.stateless else answer

    async def _get_prompt(self, message: Message, peer: Peer) -> Answer:
        name, arguments = _string(message, "name"), _object(message, "arguments")
        result = await self._or_fault(self.toolset.get_prompt(name, arguments, self._origin(message, peer)), peer)
        return render.prompt_result(result, self.toolset.prompts[name].item, peer.revision)

    async def _or_fault(self, pending: Awaitable[Result], peer: Peer) -> Result:
        """Resources and prompts have no error results: their failures are JSON-RPC errors."""
        try:
            result = await pending
        except ToolError as error:
            raise _fault(error, peer.request_id) from None
        if result.error is not None:
            raise _fault(result.error, peer.request_id)
        return result

    def _origin(self, message: Message, peer: Peer) -> Origin:
        meta = message.meta
        return Origin(
            principal=peer.principal,
            door=peer.door,
            request_id=peer.request_id,
            idempotency_key=peer.headers.idempotency_key,
            trace=peer.headers.trace or meta.get("traceparent"),
            meta=meta,
            channel=PeerChannel(peer.notify, _progress_token(meta), peer.log_level),
        )


def stateless_revision(message: Message) -> Revision | None:
    """The revision a request claims in its `_meta`, or None where it makes no such claim.

    Raises `ProtocolError` for a version that is not served statelessly, and for a `_meta` that lacks its members.
    """
    claimed = message.meta.get(VERSION_KEY)
    if claimed is None:
        return None
    revision = REVISIONS.get(claimed) if isinstance(claimed, str) else None
    if revision is None or not revision.stateless:
        raise unsupported_version(claimed, message)
    if not isinstance(message.meta.get(CAPABILITIES_KEY), dict):
        raise ProtocolError(INVALID_PARAMS, f"_meta: {CAPABILITIES_KEY} must be an object", id=message.id)
    return revision


def unsupported_version(requested: object, message: Message) -> ProtocolError:
    data = {"supported": list(REVISIONS), "requested": str(requested)}
    return ProtocolError(UNSUPPORTED_VERSION, "Unsupported protocol version", data=data, id=message.id)


def _fault(error: ToolError | None, request_id: str) -> ProtocolError:
    assert error is not None
    internal = error.code is ErrorCode.INTERNAL
    code = INTERNAL_ERROR if internal else INVALID_PARAMS
    return ProtocolError(code, error.message, data=describe(error, request_id), status=200)


def _is_input_error(result: Result) -> bool:
    """Before 2025-11-25 wrong arguments were a fault of the protocol; from there on the model gets to read them."""
    return (
        result.error is not None
        and result.error.code is ErrorCode.VALIDATION_ERROR
        and "fields" in result.error.details
    )


def _progress_token(meta: Mapping[str, Any]) -> str | int | None:
    token = meta.get("progressToken")
    return token if isinstance(token, str | int) and not isinstance(token, bool) else None


def _string(message: Message, name: str) -> str:
    value = message.params.get(name)
    if not isinstance(value, str):
        raise ProtocolError(INVALID_PARAMS, f"{name}: must be a string", id=message.id)
    return value


def _object(message: Message, name: str) -> Mapping[str, Any]:
    value = message.params.get(name, {})
    if not isinstance(value, dict):
        raise ProtocolError(INVALID_PARAMS, f"{name}: must be an object", id=message.id)
    return value


def _page(member: str, items: Sequence[Any], message: Message, peer: Peer) -> Answer:
    """One page of a list. The cursor is the offset, encoded so that nobody takes it for more than a token."""
    start = _offset(message, len(items))
    answer: Answer = {member: list(items[start : start + PAGE])}
    if start + PAGE < len(items):
        answer["nextCursor"] = base64.urlsafe_b64encode(str(start + PAGE).encode()).decode()
    if peer.revision.stateless:
        answer |= {"ttlMs": LIST_TTL_MS, "cacheScope": "private"}
    return answer


def _offset(message: Message, length: int) -> int:
    cursor = message.params.get("cursor")
    if cursor is None:
        return 0
    try:
        start = int(base64.urlsafe_b64decode(cursor))
    except (TypeError, ValueError, binascii.Error):
        start = -1
    if not 0 < start < length:
        raise ProtocolError(INVALID_PARAMS, "cursor: not one this server gave", id=message.id)
    return start
