"""What each MCP method does: a request of a `Peer` in, the result of its JSON-RPC response out. No I/O of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from ..contract import Result
from ..dispatch import CompiledTool
from ..errors import ErrorCode, ToolError, describe
from ..mirrored import Mirrored
from ..notices import Notices
from ..questions import CannotAsk
from ..toolset import Origin, Toolset, alias
from . import render
from .jsonrpc import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    MISSING_CAPABILITY,
    RESOURCE_NOT_FOUND,
    Message,
    ProtocolError,
    notification,
)
from .parameters import checked_mapping, checked_string, mapping, page, progress_token, string
from .peer import Peer, PeerChannel, unheard
from .revisions import REVISIONS, Revision
from .roundtrip import RoundTrips, Sealer
from .subscriptions import SUBSCRIPTION_KEY, Pending, message_of, read_filter, tagged

SERVER_INFO_KEY = "io.modelcontextprotocol/serverInfo"

LIST_HINTS = {"ttlMs": 60_000, "cacheScope": "private"}
READ_HINTS = {"ttlMs": 0, "cacheScope": "private"}
DISCOVER_HINTS = {"ttlMs": 3_600_000, "cacheScope": "public"}

Answer = dict[str, Any]


class Protocol:
    """The MCP face of a toolset."""

    def __init__(
        self,
        toolset: Toolset,
        *,
        version: str,
        notices: Notices | None = None,
        secret: str | None = None,
        instructions: str = "",
        underscore_names: bool = False,
    ) -> None:
        self.toolset = toolset
        self.notices = notices or Notices()
        self._info = {"name": "gatelodge", "title": "Gatelodge", "version": version}
        self._instructions = instructions
        self._sealer = Sealer(secret)
        self._listening: set[Pending] = set()
        self._listed_name: Callable[[str], str] = alias if underscore_names else str
        self._definitions = {
            (revision.name, name): msgspec.Raw(msgspec.json.encode(self._define(tool, revision)))
            for revision in REVISIONS.values()
            for name, tool in toolset.tools.items()
        }
        self._methods: dict[str, Callable[[Message, Peer], Awaitable[Answer]]] = {
            "tools/list": self._list_tools,
            "tools/call": self._call_tool,
            "resources/list": self._list_resources,
            "resources/templates/list": self._list_templates,
            "resources/read": self._read_resource,
            "prompts/list": self._list_prompts,
            "prompts/get": self._get_prompt,
            "completion/complete": self._suggest,
        }
        self._stateless_methods = self._methods | {
            "server/discover": self._discover,
            "subscriptions/listen": self._listen,
        }

    async def answer(self, message: Message, peer: Peer) -> Answer:
        """The `result` member of the response. Raises `ProtocolError`."""
        stateless = peer.revision.stateless
        handler = (self._stateless_methods if stateless else self._methods).get(message.method or "")
        if handler is None:
            raise ProtocolError(
                METHOD_NOT_FOUND, f"There is no method {message.method!r} in {peer.revision.name}", status=404
            )
        answer = await handler(message, peer)
        return self._complete(answer) if stateless else answer

    def initialize(self, revision: Revision) -> Answer:
        """`InitializeResult` of a session revision."""
        capabilities = self.capabilities() | {"logging": {}}
        answer = {"protocolVersion": revision.name, "capabilities": capabilities, "serverInfo": self._info}
        return answer | ({"instructions": self._instructions} if self._instructions else {})

    def capabilities(self) -> dict[str, Any]:
        changing = {"listChanged": True}
        offered: dict[str, Any] = {"tools": changing, "completions": {}}
        if self.toolset.resources:
            offered["resources"] = changing | {"subscribe": True}
        if self.toolset.prompts:
            offered["prompts"] = changing
        return offered

    def mirrored(self, message: Message) -> tuple[Mirrored, ...]:
        """The parameters of a `tools/call` that its headers must repeat; none for a tool that is not there."""
        try:
            return self.toolset.tool(message.params["name"]).mirrored
        except (KeyError, TypeError, ToolError):
            return ()

    async def end_subscriptions(self) -> None:
        """Let every `subscriptions/listen` end with its result, as a shutdown should."""
        for pending in list(self._listening):
            pending.end()
        await asyncio.sleep(0)

    def _define(self, tool: CompiledTool, revision: Revision) -> dict[str, Any]:
        return render.tool(tool, self._listed_name(tool.tool.name), revision)

    def _complete(self, answer: Answer) -> Answer:
        meta = {SERVER_INFO_KEY: self._info} | answer.get("_meta", {})
        return {"resultType": "complete"} | answer | {"_meta": meta}

    async def _discover(self, message: Message, peer: Peer) -> Answer:
        answer = {"supportedVersions": list(REVISIONS), "capabilities": self.capabilities() | {"logging": {}}}
        return answer | DISCOVER_HINTS | ({"instructions": self._instructions} if self._instructions else {})

    async def _list_tools(self, message: Message, peer: Peer) -> Answer:
        visible = self.toolset.visible_tools(peer.principal)
        wire = [self._definitions[peer.revision.name, compiled.tool.name] for compiled in visible]
        return _hinted(page("tools", wire, message), peer)

    async def _list_resources(self, message: Message, peer: Peer) -> Answer:
        return self._resources("resources", "uri", message, peer)

    async def _list_templates(self, message: Message, peer: Peer) -> Answer:
        return self._resources("resourceTemplates", "uriTemplate", message, peer)

    def _resources(self, member: str, key: str, message: Message, peer: Peer) -> Answer:
        visible = self.toolset.visible_resources(peer.principal)
        wire = [render.resource(owned.item, peer.revision) for owned in visible]
        return _hinted(page(member, [item for item in wire if key in item], message), peer)

    async def _list_prompts(self, message: Message, peer: Peer) -> Answer:
        visible = self.toolset.visible_prompts(peer.principal)
        return _hinted(page("prompts", [render.prompt(p.item, peer.revision) for p in visible], message), peer)

    async def _call_tool(self, message: Message, peer: Peer) -> Answer:
        name, arguments = string(message, "name"), mapping(message, "arguments")
        trips = self._trips(message, peer)
        result = await _found(self.toolset.call_tool(name, arguments, self._origin(message, peer, trips)), peer)
        if result.questions and trips is not None:
            return trips.result(result.questions)
        if result.error is not None and _is_fault(result.error, peer.revision):
            raise _fault(result.error, peer)
        return render.tool_result(result, peer.request_id, peer.revision)

    async def _read_resource(self, message: Message, peer: Peer) -> Answer:
        uri, trips = string(message, "uri"), self._trips(message, peer)
        result = await self._or_fault(self.toolset.read_resource(uri, self._origin(message, peer, trips)), peer)
        if result.questions and trips is not None:
            return trips.result(result.questions)
        answer = render.resource_result(result)
        return answer | READ_HINTS if peer.revision.stateless else answer

    async def _get_prompt(self, message: Message, peer: Peer) -> Answer:
        name, arguments = string(message, "name"), mapping(message, "arguments")
        trips = self._trips(message, peer)
        result = await self._or_fault(
            self.toolset.get_prompt(name, arguments, self._origin(message, peer, trips)), peer
        )
        if result.questions and trips is not None:
            return trips.result(result.questions)
        return render.prompt_result(result, self.toolset.prompts[name].item, peer.revision)

    async def _suggest(self, message: Message, peer: Peer) -> Answer:
        reference, argument = mapping(message, "ref"), mapping(message, "argument")
        name = checked_string(argument.get("name"), "argument.name")
        value = checked_string(argument.get("value"), "argument.value")
        context = checked_mapping(mapping(message, "context").get("arguments", {}), "context.arguments")
        known = {**context, name: value}
        origin = self._origin(message, peer, None)
        if reference.get("type") == "ref/prompt":
            prompt = checked_string(reference.get("name"), "ref.name")
            pending = self.toolset.complete_prompt(prompt, name, known, origin)
        elif reference.get("type") == "ref/resource":
            template = checked_string(reference.get("uri"), "ref.uri")
            pending = self.toolset.complete_resource(template, name, known, origin)
        else:
            raise ProtocolError(INVALID_PARAMS, "ref.type: must be ref/prompt or ref/resource")
        return render.completion_result(await self._or_fault(pending, peer))

    async def _listen(self, message: Message, peer: Peer) -> Answer:
        """Runs for as long as the client listens, or the server does."""
        wanted, id = read_filter(message), message.id
        if peer.line.send is unheard or id is None:
            raise ProtocolError(INVALID_REQUEST, "Accept: listening needs text/event-stream", status=406)
        uris = frozenset(uri for uri in wanted.uris if self.toolset.shows_resource(peer.principal, uri))
        heard, pending = type(wanted)(wanted.kinds, uris), Pending()
        with self.notices.followed(lambda notice: pending.add(notice) if heard.wants(notice) else None):
            self._listening.add(pending)
            try:
                acknowledged = notification("notifications/subscriptions/acknowledged", {"notifications": heard.wire()})
                await peer.line.send(tagged(acknowledged, id))
                while (notice := await pending.next()) is not None:
                    await peer.line.send(tagged(message_of(notice), id))
            finally:
                self._listening.discard(pending)
        return {"_meta": {SUBSCRIPTION_KEY: id}}

    async def _or_fault(self, pending: Awaitable[Result], peer: Peer) -> Result:
        """Resources, prompts and completions have no error results: their failures are JSON-RPC errors."""
        result = await _found(pending, peer)
        if result.error is not None:
            raise _fault(result.error, peer)
        return result

    def _trips(self, message: Message, peer: Peer) -> RoundTrips | None:
        if not peer.revision.stateless:
            return None
        return RoundTrips(self._sealer, message, peer.principal, peer.revision)

    def _origin(self, message: Message, peer: Peer, trips: RoundTrips | None) -> Origin:
        meta, ask = message.meta, peer.ask if trips is None else trips.ask
        trace = meta.get("traceparent")
        return Origin(
            principal=peer.principal,
            door=peer.door,
            request_id=peer.request_id,
            idempotency_key=peer.line.headers.idempotency_key,
            trace=trace if isinstance(trace, str) else peer.line.headers.trace,
            meta=meta,
            channel=PeerChannel(peer, progress_token(meta), ask),
        )


async def _found(pending: Awaitable[Result], peer: Peer) -> Result:
    """What is not there to be called is a fault of the protocol, whatever the method."""
    try:
        return await pending
    except ToolError as error:
        raise _fault(error, peer) from None


def _hinted(answer: Answer, peer: Peer) -> Answer:
    return answer | LIST_HINTS if peer.revision.stateless else answer


def _fault(error: ToolError, peer: Peer) -> ProtocolError:
    data = describe(error, peer.request_id)
    if isinstance(error, CannotAsk) and peer.revision.stateless:
        data |= {"requiredCapabilities": error.required}
        return ProtocolError(MISSING_CAPABILITY, error.message, data=data, status=400)
    if "uri" in error.details:
        data |= {"uri": error.details["uri"]}
    code = INTERNAL_ERROR if error.code is ErrorCode.INTERNAL else INVALID_PARAMS
    if error.code is ErrorCode.NOT_FOUND and "uri" in error.details and not peer.revision.stateless:
        code = RESOURCE_NOT_FOUND
    return ProtocolError(code, error.message, data=data, status=200)


def _is_fault(error: ToolError, revision: Revision) -> bool:
    """Failures of a tool that are no results: a client that cannot be asked, and, before 2025-11-25, wrong arguments."""
    if isinstance(error, CannotAsk):
        return revision.stateless
    wrong_input = error.code is ErrorCode.VALIDATION_ERROR and "fields" in error.details
    return wrong_input and not revision.input_errors_in_result
