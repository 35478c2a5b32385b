"""A client that speaks any revision over `/mcp` by hand, and checks each message in both directions by its schema."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from .schema import STATELESS, check_request, check_response

Message = dict[str, Any]
Respond = Callable[[Message], Awaitable[Any] | Any]

EVERYTHING = {"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}}
TASKS = {"extensions": {"io.modelcontextprotocol/tasks": {}}}
ACCEPT = "application/json, text/event-stream"
NAMED_BY = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"} | dict.fromkeys(
    ("tasks/get", "tasks/update", "tasks/cancel"), "taskId"
)


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event; `message` is None where its data is empty."""

    id: str | None
    retry: int | None
    message: Message | None


@dataclass(slots=True)
class Answer:
    """What came of one request: the response, and what was sent before it."""

    status: int
    response: Message
    notifications: list[Message] = field(default_factory=list)
    requests: list[Message] = field(default_factory=list)

    @property
    def result(self) -> Any:
        assert "result" in self.response, self.response
        return self.response["result"]

    @property
    def error(self) -> Any:
        assert "error" in self.response, self.response
        return self.response["error"]


class Speaker:
    """`respond` answers the server's requests with a result, by the request; `capabilities` are what it declares."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        revision: str,
        *,
        capabilities: Mapping[str, Any] = EVERYTHING,
        respond: Respond | None = None,
    ) -> None:
        self.http = http
        self.url = f"{url}/mcp"
        self.revision = revision
        self.capabilities = dict(capabilities)
        self.session: str | None = None
        self.respond = respond
        self._ids = itertools.count(1)

    @property
    def stateless(self) -> bool:
        return self.revision == STATELESS

    async def open(self) -> Speaker:
        """Shake hands, where the revision does."""
        if self.stateless:
            return self
        info = {"name": "speaker", "version": "1"}
        params = {"protocolVersion": self.revision, "capabilities": self.capabilities, "clientInfo": info}
        request = self.message("initialize", params)
        async with self.post(request) as reply:
            answer = await self.read(reply, request)
            self.session = reply.headers["Mcp-Session-Id"]
        assert answer.result["protocolVersion"] == self.revision
        assert await self.notify("notifications/initialized", {}) == 202
        return self

    async def ask(self, method: str, params: Mapping[str, Any] | None = None, **headers: str) -> Answer:
        """Send a request and read to its response."""
        request = self.message(method, params or {})
        async with self.post(request, **headers) as reply:
            return await self.read(reply, request)

    async def call(self, tool: str, meta: Mapping[str, Any] | None = None, /, **arguments: Any) -> Answer:
        extra = {"_meta": dict(meta)} if meta else {}
        return await self.ask("tools/call", {"name": tool, "arguments": arguments, **extra})

    async def notify(self, method: str, params: Mapping[str, Any]) -> int:
        """Send a notification; answers the HTTP status."""
        message = {"jsonrpc": "2.0", "method": method, "params": dict(params)}
        check_request(self.revision, message)
        async with self.post(message) as reply:
            return reply.status

    def message(self, method: str, params: Mapping[str, Any], *, id: int | None = None) -> Message:
        """A request as its revision wants it, checked."""
        body = dict(params)
        if self.stateless:
            prefix = "io.modelcontextprotocol/"
            own = {f"{prefix}protocolVersion": self.revision, f"{prefix}clientCapabilities": self.capabilities}
            own[f"{prefix}clientInfo"] = {"name": "speaker", "version": "1"}
            body["_meta"] = own | body.get("_meta", {})
        message = {"jsonrpc": "2.0", "id": next(self._ids) if id is None else id, "method": method, "params": body}
        check_request(self.revision, message)
        return message

    def headers(self, message: Message) -> dict[str, str]:
        """The headers that go with a message."""
        headers = {"Accept": ACCEPT}
        method = message.get("method")
        if method != "initialize" or self.stateless:
            headers["MCP-Protocol-Version"] = self.revision
        if self.session is not None:
            headers["Mcp-Session-Id"] = self.session
        if self.stateless and method is not None:
            headers["Mcp-Method"] = method
            if method in NAMED_BY:
                headers["Mcp-Name"] = str(message["params"].get(NAMED_BY[method]))
        return headers

    def post(self, message: Any, **headers: str) -> Any:
        """The raw POST, to be entered with `async with`."""
        own = self.headers(message) if isinstance(message, dict) else self.headers({"method": "batch", "params": {}})
        return self.http.post(
            self.url, json=message, headers=own | {k.replace("_", "-"): v for k, v in headers.items()}
        )

    def get(self, last_event_id: str | None = None) -> Any:
        """The raw GET of a session's stream."""
        headers = self.headers({}) | {"Accept": "text/event-stream"}
        return self.http.get(self.url, headers=headers | ({"Last-Event-ID": last_event_id} if last_event_id else {}))

    async def read(self, reply: aiohttp.ClientResponse, request: Message) -> Answer:
        """Read to the response; requests of the server on the way are answered."""
        if reply.content_type == "application/json":
            response = await reply.json()
            check_response(self.revision, request["method"], response)
            return Answer(reply.status, response)
        answer = Answer(reply.status, {})
        async for event in events(reply):
            message = event.message
            if message is None:
                continue
            if "method" not in message:
                check_response(self.revision, request["method"], message)
                answer.response = message
                return answer
            check_request(self.revision, message, by_server=True)
            if "id" in message:
                answer.requests.append(message)
                await self._answer(message)
            else:
                answer.notifications.append(message)
        raise AssertionError(f"the stream ended without a response: {answer}")

    async def _answer(self, request: Message) -> None:
        assert self.respond is not None, request
        result = self.respond(request)
        response: Message = {"jsonrpc": "2.0", "id": request["id"], "result": result}
        if isinstance(result, dict) and "code" in result:
            response = {"jsonrpc": "2.0", "id": request["id"], "error": result}
        check_response(self.revision, request["method"], response)
        async with self.post(response) as reply:
            assert reply.status == 202


async def events(reply: aiohttp.ClientResponse) -> AsyncIterator[Event]:
    """The events of a stream as they come; comments are skipped."""
    lines: dict[str, str] = {}
    async for raw in reply.content:
        line = raw.decode().rstrip("\r\n")
        if line:
            name, _, value = line.partition(":")
            if name:
                lines[name] = value.removeprefix(" ")
        elif lines:
            retry, data = lines.get("retry"), lines.get("data", "")
            yield Event(lines.get("id"), int(retry) if retry else None, json.loads(data) if data else None)
            lines = {}


def answers(request: Message) -> Message:
    """What an obliging client answers to each kind of request."""
    if request["method"] == "roots/list":
        return {"roots": [{"uri": "file:///work", "name": "work"}]}
    if request["method"] == "sampling/createMessage":
        said = {"type": "text", "text": "Paris"}
        return {"role": "assistant", "content": said, "model": "small", "stopReason": "endTurn"}
    fields = request["params"].get("requestedSchema", {}).get("properties", {})
    samples = {"string": "Ada", "boolean": True, "integer": 7, "number": 1.5}
    content = {name: (inner.get("enum") or [samples.get(inner["type"])])[0] for name, inner in fields.items()}
    return {"action": "accept", **({"content": content} if fields else {})}
