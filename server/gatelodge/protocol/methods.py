"""What each MCP method does: a request of a `Peer` in, the result of its JSON-RPC response out. No I/O of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec

from ..contract import Principal, Result
from ..dispatch import CompiledTool
from ..errors import ToolError
from ..mirrored import Mirrored
from ..names import alias
from ..notices import Notice, Notices
from ..questions import TASKS, CannotAsk
from ..replicas.exchange import Exchange
from ..toolset import KEY_IN_META, Origin, Toolset
from . import render
from .faults import fault, found, is_fault
from .jsonrpc import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    Message,
    ProtocolError,
    notification,
)
from .parameters import checked_mapping, checked_string, mapping, page, progress_token, string
from .peer import Ask, CallHeaders, Peer, PeerChannel, unheard
from .revisions import REVISIONS, Revision
from .roundtrip import RoundTrips, Sealer
from .subscriptions import SUBSCRIPTION_KEY, Filter, Pending, message_of, read_filter, tagged
from .taskboard import Offer, Tasks
from .tasks import declared

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
        notices: Notices,
        exchange: Exchange,
        secret: str | None = None,
        instructions: str = "",
        underscore_names: bool = False,
    ) -> None:
        self.toolset = toolset
        self.notices = notices
        self._info = {"name": "gatelodge", "title": "Gatelodge", "version": version}
        self._instructions = instructions
        self._sealer = Sealer(secret)
        self._listening: set[Pending] = set()
        self.tasks = Tasks(notices, exchange, toolset.name)
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
            "tasks/get": self._task_method(self.tasks.get),
            "tasks/update": self._task_method(self.tasks.update),
            "tasks/cancel": self._task_method(self.tasks.cancel),
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

    async def end(self) -> None:
        """On shutdown: tasks are cancelled, and every `subscriptions/listen` ends with its result."""
        await self.tasks.end()
        for pending in list(self._listening):
            pending.end()
        await asyncio.sleep(0)

    def _define(self, tool: CompiledTool, revision: Revision) -> dict[str, Any]:
        return render.tool(tool, self._listed_name(tool.tool.name), revision)

    def _complete(self, answer: Answer) -> Answer:
        meta = {SERVER_INFO_KEY: self._info} | answer.get("_meta", {})
        return {"resultType": "complete"} | answer | {"_meta": meta}

    async def _discover(self, message: Message, peer: Peer) -> Answer:
        capabilities = self.capabilities() | {"logging": {}} | dict(TASKS)
        answer: Answer = {"supportedVersions": list(REVISIONS), "capabilities": capabilities}
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
        if trips is not None and declared(message):
            return await self._call_or_task(name, arguments, message, peer, trips)
        origin = self._origin(message, peer, trips.ask if trips is not None else peer.ask)
        return self._tool_answer(await found(self.toolset.call_tool(name, arguments, origin), peer), peer, trips)

    async def _call_or_task(
        self, name: str, arguments: Mapping[str, Any], message: Message, peer: Peer, trips: RoundTrips
    ) -> Answer:
        """The call runs beside this request, so that its handler may let the client go with a task to poll."""
        offer = Offer(self.tasks, trips, peer.principal, peer.revision)
        origin = self._origin(message, peer, offer.ask, offer)
        work = asyncio.create_task(found(self.toolset.call_tool(name, arguments, origin), peer))
        taken = asyncio.create_task(offer.taken.wait())
        try:
            await asyncio.wait((work, taken), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            work.cancel()
            raise
        finally:
            taken.cancel()
        if offer.task is None:
            return self._tool_answer(work.result(), peer, trips)
        render_end = partial(self._tool_answer, peer=peer, trips=None)
        offer.task.follow(work, lambda result: self._complete(render_end(result)), peer.request_id)
        await self.tasks.publish(offer.task)
        return {"resultType": "task"} | offer.task.wire()

    def _tool_answer(self, result: Result, peer: Peer, trips: RoundTrips | None) -> Answer:
        if result.questions and trips is not None:
            return trips.result(result.questions)
        if result.error is not None and is_fault(result.error, peer.revision):
            raise fault(result.error, peer)
        return render.tool_result(result, peer.request_id, peer.revision)

    async def _read_resource(self, message: Message, peer: Peer) -> Answer:
        uri, trips = string(message, "uri"), self._trips(message, peer)
        origin = self._origin(message, peer, peer.ask if trips is None else trips.ask)
        result = await self._or_fault(self.toolset.read_resource(uri, origin), peer)
        if result.questions and trips is not None:
            return trips.result(result.questions)
        answer = render.resource_result(result)
        return answer | READ_HINTS if peer.revision.stateless else answer

    async def _get_prompt(self, message: Message, peer: Peer) -> Answer:
        name, arguments = string(message, "name"), mapping(message, "arguments")
        trips = self._trips(message, peer)
        origin = self._origin(message, peer, peer.ask if trips is None else trips.ask)
        result = await self._or_fault(self.toolset.get_prompt(name, arguments, origin), peer)
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
        id = message.id
        if peer.line.send is unheard or id is None:
            raise ProtocolError(INVALID_REQUEST, "Accept: listening needs text/event-stream", status=406)
        heard, pending = await self._permitted(read_filter(message), message, peer), Pending()
        with self.notices.followed(lambda notice: pending.add(notice) if heard.wants(notice) else None):
            self._listening.add(pending)
            try:
                agreed = {"notifications": heard.wire()}
                await peer.line.send(tagged(notification("notifications/subscriptions/acknowledged", agreed), id))
                while (notice := await pending.next()) is not None:
                    if (change := await self._change(notice, peer)) is not None:
                        await peer.line.send(tagged(change, id))
            finally:
                self._listening.discard(pending)
        return {"_meta": {SUBSCRIPTION_KEY: id}}

    async def _permitted(self, wanted: Filter, message: Message, peer: Peer) -> Filter:
        """What of it this caller may hear."""
        if wanted.tasks and not declared(message):
            raise fault(CannotAsk(TASKS), peer)
        uris = frozenset(uri for uri in wanted.uris if self.toolset.shows_resource(peer.principal, uri))
        tasks = frozenset([id for id in wanted.tasks if await self.tasks.look(id, peer.principal) is not None])
        return replace(wanted, uris=uris, tasks=tasks)

    async def _change(self, notice: Notice, peer: Peer) -> Mapping[str, Any] | None:
        if notice.kind != "task":
            return message_of(notice)
        wire = await self.tasks.look(notice.name, peer.principal)
        return None if wire is None else notification("notifications/tasks", wire)

    def _task_method(
        self, method: Callable[[Message, Principal], Awaitable[Answer]]
    ) -> Callable[[Message, Peer], Awaitable[Answer]]:
        async def answer(message: Message, peer: Peer) -> Answer:
            return await method(message, peer.principal)

        return answer

    async def _or_fault(self, pending: Awaitable[Result], peer: Peer) -> Result:
        """Resources, prompts and completions have no error results: their failures are JSON-RPC errors."""
        result = await found(pending, peer)
        if result.error is not None:
            raise fault(result.error, peer)
        return result

    def _trips(self, message: Message, peer: Peer) -> RoundTrips | None:
        if not peer.revision.stateless:
            return None
        key = peer.line.headers.idempotency_key or message.meta.get(KEY_IN_META)
        return RoundTrips(self._sealer, message, peer.principal, peer.revision, key)

    def _origin(self, message: Message, peer: Peer, ask: Ask | None, offer: Offer | None = None) -> Origin:
        meta = message.meta
        trace, tracestate = _trace(meta, peer.line.headers)
        return Origin(
            principal=peer.principal,
            door=peer.door,
            request_id=peer.request_id,
            idempotency_key=peer.line.headers.idempotency_key,
            trace=trace,
            tracestate=tracestate,
            meta=meta,
            channel=PeerChannel(peer, progress_token(meta), ask, offer),
        )


def _trace(meta: Mapping[str, Any], headers: CallHeaders) -> tuple[str | None, str | None]:
    """The trace context of the message itself, or else of the HTTP request that brought it. Source: MCP SEP-414."""
    parent, state = meta.get("traceparent"), meta.get("tracestate")
    if isinstance(parent, str):
        return parent, state if isinstance(state, str) else None
    return headers.trace, headers.tracestate


def _hinted(answer: Answer, peer: Peer) -> Answer:
    return answer | LIST_HINTS if peer.revision.stateless else answer
