"""A client of the pipes, HTTP+SSE and stdio: one message out, one in, each checked by its schema."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol

import aiohttp

from gatelodge.testing import Gatelodge
from gatelodge.transports.stdio import Stdio

from .schema import STATELESS
from .speaker import EVERYTHING, Message, answers, events
from .transcript import Conversation, Transcript


class Wire(Protocol):
    """One message out, one message in."""

    async def send(self, message: Message) -> None: ...

    async def receive(self) -> Message: ...


class SSEWire:
    def __init__(self, http: aiohttp.ClientSession, url: str, stream: aiohttp.ClientResponse) -> None:
        self._http = http
        self._url = url
        self._events = events(stream)

    async def send(self, message: Message) -> None:
        async with self._http.post(self._url, json=message) as reply:
            assert reply.status == 202

    async def receive(self) -> Message:
        message = (await anext(self._events)).message
        assert message is not None
        return message


class StdioWire:
    """Lines to a reader, and out of what is written."""

    def __init__(self) -> None:
        self.reader = asyncio.StreamReader()
        self._lines: asyncio.Queue[bytes] = asyncio.Queue()

    def write(self, line: bytes) -> int:
        self._lines.put_nowait(line)
        return len(line)

    def flush(self) -> None:
        pass

    async def send(self, message: Message) -> None:
        self.reader.feed_data(json.dumps(message).encode() + b"\n")

    async def receive(self) -> Message:
        return dict(json.loads(await self._lines.get()))


@asynccontextmanager
async def opened(gate: Gatelodge, door: str) -> AsyncIterator[Client]:
    """A client of a door; whatever both sides say is checked by its schema."""
    transcript = Transcript()
    if door == "stdio":
        wire = StdioWire()
        stdio = Stdio(gate.server.protocol(gate.server.hub), gate.server.policy, wire)  # type: ignore[arg-type]
        serving = asyncio.create_task(stdio.serve(wire.reader))
        yield Client(wire, transcript.conversation())
        wire.reader.feed_eof()
        await serving
        assert transcript.violations == []
        return
    async with aiohttp.ClientSession() as http, http.get(f"{gate.url}/sse") as stream:
        first = await anext(aiter(stream.content))
        assert first.strip() == b"event: endpoint"
        path = (await stream.content.readline()).decode().removeprefix("data: ").strip()
        await stream.content.readline()
        yield Client(SSEWire(http, gate.url + path, stream), transcript.conversation())
    assert transcript.violations == []


class Client:
    """Reads until its response comes; requests of the server are answered, notifications kept."""

    def __init__(self, wire: Wire, conversation: Conversation) -> None:
        self._wire = wire
        self._conversation = conversation
        self._ids = itertools.count(1)
        self.revision = STATELESS
        self.heard: list[Message] = []

    async def initialize(self, revision: str) -> None:
        self.revision = revision
        info = {"name": "pipe", "version": "1"}
        params = {"protocolVersion": revision, "capabilities": EVERYTHING, "clientInfo": info}
        assert (await self.ask("initialize", params))["protocolVersion"] == revision
        await self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    async def begin(self, method: str, params: Mapping[str, Any]) -> int:
        """Send a request; answers its id."""
        body = dict(params)
        if self.revision == STATELESS:
            prefix = "io.modelcontextprotocol/"
            own = {f"{prefix}protocolVersion": STATELESS, f"{prefix}clientCapabilities": EVERYTHING}
            body["_meta"] = own | {f"{prefix}clientInfo": {"name": "pipe", "version": "1"}} | body.get("_meta", {})
        message = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": body}
        await self._send(message)
        return int(message["id"])

    async def ask(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """The result of a request."""
        id = await self.begin(method, params)
        while (message := await self.next()).get("id") != id:
            self.heard.append(message)
        return dict(message["result"])

    async def next(self) -> Message:
        """The next message that is no request of the server."""
        while True:
            message = await self._wire.receive()
            self._conversation.pass_on(message, by_server=True)
            if "method" not in message or "id" not in message:
                return message
            result = {"jsonrpc": "2.0", "id": message["id"], "result": answers(message)}
            await self._send(result)

    async def cancel(self, id: int) -> None:
        await self._send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}})

    async def _send(self, message: Message) -> None:
        self._conversation.pass_on(message, by_server=False)
        await self._wire.send(message)


def call(tool: str, meta: Mapping[str, Any] | None = None, /, **arguments: Any) -> dict[str, Any]:
    return {"name": tool, "arguments": arguments, **({"_meta": dict(meta)} if meta else {})}
