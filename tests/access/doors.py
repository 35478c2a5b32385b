"""Every door as one function: credentials and a tool in, the outcome out (`ok`, or the error's code)."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp

from gatelodge import Credentials, StartupError
from gatelodge.testing import Gatelodge
from gatelodge.transports.stdio import Stdio

Headers = Mapping[str, str]
Door = Callable[[Gatelodge, Headers, str], Awaitable[str]]
BOTH = {"Accept": "application/json, text/event-stream"}


async def rest(gate: Gatelodge, headers: Headers, tool: str) -> str:
    return await _plain(gate, headers, "/tools/invoke", tool)


async def api(gate: Gatelodge, headers: Headers, tool: str) -> str:
    return await _plain(gate, headers, "/api/v1/mcp/tools/call", tool)


async def api_stream(gate: Gatelodge, headers: Headers, tool: str) -> str:
    body = {"name": tool, "arguments": {}}
    async with gate.session.post(f"{gate.url}/api/v1/mcp/tools/stream", json=body, headers=headers) as reply:
        if reply.status != 200:
            return _code(await reply.json())
        lines = (await reply.text()).splitlines()
    return _code(json.loads(next(line for line in reversed(lines) if line.startswith("data: ")).removeprefix("data: ")))


async def own_listener(gate: Gatelodge, headers: Headers, tool: str) -> str:
    """The plugin's own listener, which is another application."""
    return await _plain(gate, headers, "/tools/invoke", tool, base=gate.urls["notes"])


async def stateless(gate: Gatelodge, headers: Headers, tool: str) -> str:
    """`/mcp` as of 2026-07-28."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    }
    mirrored = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": tool}
    message = _request("tools/call", {"name": tool, "arguments": {}, "_meta": meta})
    async with gate.session.post(f"{gate.url}/mcp", json=message, headers={**BOTH, **headers, **mirrored}) as reply:
        return _outcome(await reply.json())


async def session(gate: Gatelodge, headers: Headers, tool: str) -> str:
    """`/mcp` with a session of 2025-11-25."""
    url = f"{gate.url}/mcp"
    async with gate.session.post(url, json=_initialize("2025-11-25"), headers={**BOTH, **headers}) as reply:
        if reply.status != 200:
            return _outcome(await reply.json())
        own = {**BOTH, **headers, "Mcp-Session-Id": reply.headers["Mcp-Session-Id"]}
    message = _request("tools/call", {"name": tool, "arguments": {}})
    async with gate.session.post(url, json=message, headers=own) as reply:
        return _outcome(await reply.json())


async def sse(gate: Gatelodge, headers: Headers, tool: str) -> str:
    """HTTP+SSE of 2024-11-05."""
    async with gate.session.get(f"{gate.url}/sse", headers={"Accept": "text/event-stream", **headers}) as stream:
        if stream.status != 200:
            return _outcome(await stream.json())
        endpoint = gate.url + await _data(stream)
        for message in (_initialize("2024-11-05"), _request("tools/call", {"name": tool, "arguments": {}})):
            async with gate.session.post(endpoint, json=message, headers=headers) as reply:
                if reply.status != 202:
                    return _outcome(await reply.json())
            answer = json.loads(await _data(stream))
        return _outcome(answer)


async def stdio(gate: Gatelodge, headers: Headers, tool: str) -> str:
    """A pipe, whose caller's headers stand for what its environment holds."""
    server, output = gate.server, io.BytesIO()
    pipe = Credentials(headers=headers, address=None, trusted_peer=False, door="stdio")
    reader = asyncio.StreamReader()
    for message in (_initialize("2025-11-25"), _request("tools/call", {"name": tool, "arguments": {}})):
        reader.feed_data(json.dumps(message).encode() + b"\n")
    try:
        async with _serving(Stdio(server.protocol(server.hub), replace(server.policy, pipe=pipe), output), reader):
            while output.getvalue().count(b"\n") < 2:  # noqa: ASYNC110, a buffer has no event
                await asyncio.sleep(0.01)
    except StartupError as error:
        return error.code
    return _outcome(json.loads(output.getvalue().splitlines()[-1]))


DOORS: Mapping[str, Door] = {
    door.__name__: door for door in (rest, api, api_stream, own_listener, stateless, session, sse, stdio)
}


@asynccontextmanager
async def _serving(door: Stdio, reader: asyncio.StreamReader) -> AsyncIterator[None]:
    """While the client is there; what the server raises is raised here."""
    serving = asyncio.create_task(door.serve(reader))
    try:
        await asyncio.wait({serving}, timeout=0.05)
        if serving.done():
            serving.result()
        yield
    finally:
        reader.feed_eof()
        if not serving.done():
            await serving


async def _plain(gate: Gatelodge, headers: Headers, path: str, tool: str, base: str | None = None) -> str:
    body = {"name": tool, "arguments": {}}
    async with gate.session.post(f"{base or gate.url}{path}", json=body, headers=headers) as reply:
        return _code(await reply.json())


async def _data(stream: aiohttp.ClientResponse) -> str:
    """The data of the next event that has some."""
    async with asyncio.timeout(10):
        while not (line := await stream.content.readline()).startswith(b"data:"):
            assert line, "the stream ended"
    return line.removeprefix(b"data:").decode().strip()


def _request(method: str, params: Mapping[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 2, "method": method, "params": params}


def _initialize(revision: str) -> dict[str, Any]:
    client = {"name": "test", "version": "1"}
    return _request("initialize", {"protocolVersion": revision, "capabilities": {}, "clientInfo": client})


def _outcome(answer: Mapping[str, Any]) -> str:
    """Of a JSON-RPC response."""
    if "error" in answer:
        return str(answer["error"]["data"]["code"])
    result = answer["result"]
    return _code(json.loads(result["content"][0]["text"])) if result.get("isError") else "ok"


def _code(body: Mapping[str, Any]) -> str:
    return str(body["error"]["code"]) if "error" in body else "ok"
