"""The plain REST doors, for scripts and health checks: `/tools`, `/tools/invoke` and `/api/v1/mcp/…`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from aiohttp import web

from ..contract import JSON, Result, Route, RouteRequest, SilentChannel
from ..dispatch import CompiledTool
from ..errors import ErrorCode, ToolError, describe
from ..protocol import render
from ..protocol.jsonrpc import MAX_DEPTH, too_deep
from ..protocol.methods import Protocol
from ..protocol.peer import Line, Peer, PeerChannel, Send
from ..protocol.revisions import LATEST_SESSION, REVISIONS
from ..toolset import Origin, Toolset
from .gate import PRINCIPAL, call_headers, error_reply, json_response
from .headers import REQUEST_ID
from .streaming import close_stream, open_stream

API = "/api/v1/mcp"


class Rest:
    """Every plain route of one listener, a plugin's own among them."""

    def __init__(self, toolset: Toolset, protocol: Protocol) -> None:
        self._toolset = toolset
        self._protocol = protocol

    def add_to(self, app: web.Application) -> None:
        add = app.router.add_route
        for path in ("/tools", f"{API}/tools/list"):
            add("GET", path, self.tools)
        for path in ("/tools/invoke", f"{API}/tools/call"):
            add("POST", path, self.call)
        add("POST", f"{API}/tools/stream", self.stream)
        add("*", f"{API}/session/handshake", self.handshake)
        add("GET", f"{API}/resources/list", self.resources)
        add("GET", f"{API}/prompts/list", self.prompts)
        for route in self._toolset.routes:
            add(route.method, route.path, self._plugin_route(route))

    async def handshake(self, request: web.Request) -> web.Response:
        """Who the server is and what it offers to this caller."""
        return json_response(
            self._protocol.initialize(LATEST_SESSION)
            | {"supportedVersions": list(REVISIONS), "tools": len(self._toolset.visible_tools(request[PRINCIPAL]))}
        )

    async def tools(self, request: web.Request) -> web.Response:
        visible = self._toolset.visible_tools(request[PRINCIPAL])
        return json_response({"tools": [definition(compiled) for compiled in visible], "count": len(visible)})

    async def resources(self, request: web.Request) -> web.Response:
        visible = self._toolset.visible_resources(request[PRINCIPAL])
        return json_response({"resources": [render.resource(owned.item, LATEST_SESSION) for owned in visible]})

    async def prompts(self, request: web.Request) -> web.Response:
        visible = self._toolset.visible_prompts(request[PRINCIPAL])
        return json_response({"prompts": [render.prompt(owned.item, LATEST_SESSION) for owned in visible]})

    async def call(self, request: web.Request) -> web.Response:
        """`{name, arguments}` in, `{result}` or `{error}` out."""
        name, arguments = await _named_call(request)
        result = await self._toolset.call_tool(name, arguments, _origin(request))
        return _reply(request, result)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """The same as an event stream: `progress` and `log` events, then one `result` or `error`."""
        name, arguments = await _named_call(request)
        self._toolset.wanted(name, _origin(request))
        stream = await open_stream(request)

        async def notify(message: Mapping[str, Any]) -> None:
            event = "progress" if message["method"].endswith("progress") else "log"
            await stream.send(msgspec.json.encode(message["params"]).decode(), event=event)

        result = await self._toolset.call_tool(name, arguments, _origin(request, _channel(request, notify)))
        body = _body(result, request[REQUEST_ID])
        await stream.send(msgspec.json.encode(body).decode(), event="error" if result.error else "result")
        await close_stream(request, stream)
        return stream

    def _plugin_route(self, route: Route) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            async def invoke(name: str, arguments: Mapping[str, Any]) -> Result:
                return await self._toolset.call_tool(name, arguments, _origin(request))

            body = await read_json(request) if request.can_read_body else None
            answer = await route.handler(
                RouteRequest(
                    path=dict(request.match_info),
                    query=dict(request.query),
                    body=body,
                    principal=request[PRINCIPAL],
                    invoke=invoke,
                    shows=lambda name: self._toolset.shows_tool(request[PRINCIPAL], name),
                )
            )
            return _reply(request, answer) if isinstance(answer, Result) else json_response(answer)

        return handle


def definition(compiled: CompiledTool) -> dict[str, Any]:
    """A tool as the plain doors show it: the same members as MCP's."""
    return render.tool(compiled, compiled.tool.name, LATEST_SESSION)


async def read_json(request: web.Request) -> JSON:
    """The body as JSON. Raises `validation_error`."""
    try:
        body = msgspec.json.decode(await request.read())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ToolError(ErrorCode.VALIDATION_ERROR, f"The body is not valid JSON: {error}") from None
    if too_deep(body):
        raise ToolError(ErrorCode.VALIDATION_ERROR, f"The body nests deeper than {MAX_DEPTH} levels.")
    return body


async def _named_call(request: web.Request) -> tuple[str, Mapping[str, Any]]:
    body = await read_json(request)
    wrong: dict[str, list[str]] = {}
    if not isinstance(body, dict):
        raise ToolError(ErrorCode.VALIDATION_ERROR, "The body must be an object of name and arguments.")
    wrong |= {
        key: ["Unknown member; known are name and arguments."] for key in body if key not in ("name", "arguments")
    }
    if not isinstance(body.get("name"), str):
        wrong["name"] = ["Must be a string."]
    if not isinstance(body.get("arguments", {}), dict):
        wrong["arguments"] = ["Must be an object."]
    if wrong:
        field, sentences = next(iter(wrong.items()))
        raise ToolError(ErrorCode.VALIDATION_ERROR, f"{field}: {sentences[0]}", details={"fields": wrong})
    return body["name"], body.get("arguments", {})


def _origin(request: web.Request, channel: PeerChannel | None = None) -> Origin:
    headers = call_headers(request)
    return Origin(
        principal=request[PRINCIPAL],
        door="rest",
        request_id=request[REQUEST_ID],
        idempotency_key=headers.idempotency_key,
        trace=headers.trace,
        tracestate=headers.tracestate,
        channel=channel or SilentChannel(),
    )


def _channel(request: web.Request, send: Send) -> PeerChannel:
    """Progress and log lines for a caller that cannot be asked anything."""
    peer = Peer(
        revision=LATEST_SESSION,
        principal=request[PRINCIPAL],
        door="rest",
        request_id=request[REQUEST_ID],
        line=Line(send=send),
        log_level="info",
    )
    return PeerChannel(peer, request[REQUEST_ID])


def _reply(request: web.Request, result: Result) -> web.Response:
    if result.error is not None:
        return error_reply(request, result.error, result.reply_headers)
    return json_response(_body(result, request[REQUEST_ID]), headers=result.headers)


def _body(result: Result, request_id: str) -> dict[str, Any]:
    if result.error is not None:
        return {"error": describe(result.error, request_id)}
    content = (
        result.structured
        if result.structured is not None
        else [render.block(item, LATEST_SESSION) for item in result.content]
    )
    body = {"result": content, "request_id": request_id}
    return body | {"replayed": True} if result.replayed else body
