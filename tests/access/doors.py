"""Every door as one function: credentials, a tool and perhaps an idempotency key in, the outcome out.

That is `ok`, `replayed`, or the error's code.
"""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import aiohttp

from gatelodge import Credentials, StartupError
from gatelodge.testing import Gatelodge
from gatelodge.transports.stdio import Stdio

Headers = Mapping[str, str]
Door = Callable[[Gatelodge, Headers, str, str | None], Awaitable[str]]
BOTH = {"Accept": "application/json, text/event-stream"}
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
}


async def plain(
    path: str, gate: Gatelodge, headers: Headers, tool: str, key: str | None = None, listener: str = "hub"
) -> str:
    """The REST doors; each listener is an application of its own."""
    body = {"name": tool, "arguments": {}}
    async with gate.session.post(gate.urls[listener] + path, json=body, headers=_keyed(headers, key)) as reply:
        return _code(await reply.json())


async def api_stream(gate: Gatelodge, headers: Headers, tool: str, key: str | None = None) -> str:
    body, url = {"name": tool, "arguments": {}}, f"{gate.url}/api/v1/mcp/tools/stream"
    async with gate.session.post(url, json=body, headers=_keyed(headers, key)) as reply:
        if reply.status != 200:
            return _code(await reply.json())
        lines = (await reply.text()).splitlines()
    return _code(json.loads(next(line for line in reversed(lines) if line.startswith("data: ")).removeprefix("data: ")))


async def plugin_route(gate: Gatelodge, headers: Headers, tool: str, key: str | None = None) -> str:
    """A route that a plugin brings, as `/query` is one."""
    async with gate.session.post(f"{gate.url}/notes/{tool}", json={}, headers=_keyed(headers, key)) as reply:
        return _code(await reply.json())


async def stateless(gate: Gatelodge, headers: Headers, tool: str, key: str | None = None) -> str:
    """`/mcp` as of 2026-07-28."""
    mirrored = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": tool}
    message = _request("tools/call", {"name": tool, "arguments": {}, "_meta": META})
    own = {**BOTH, **_keyed(headers, key), **mirrored}
    async with gate.session.post(f"{gate.url}/mcp", json=message, headers=own) as reply:
        return _outcome(await reply.json())


async def session(
    revision: str, gate: Gatelodge, headers: Headers, tool: str, key: str | None = None, batch: bool = False
) -> str:
    """`/mcp` with a session of an older revision."""
    url = f"{gate.url}/mcp"
    async with gate.session.post(url, json=_initialize(revision), headers={**BOTH, **headers}) as reply:
        if reply.status != 200:
            return _outcome(await reply.json())
        own = {**BOTH, **_keyed(headers, key), "Mcp-Session-Id": reply.headers["Mcp-Session-Id"]}
    message = _request("tools/call", {"name": tool, "arguments": {}})
    async with gate.session.post(url, json=[message] if batch else message, headers=own) as reply:
        answer = await reply.json()
        return _outcome(answer[0] if batch else answer)


async def sse(gate: Gatelodge, headers: Headers, tool: str, key: str | None = None) -> str:
    """HTTP+SSE of 2024-11-05."""
    async with gate.session.get(f"{gate.url}/sse", headers={"Accept": "text/event-stream", **headers}) as stream:
        if stream.status != 200:
            return _outcome(await stream.json())
        endpoint = gate.url + await _data(stream)
        for message in (_initialize("2024-11-05"), _request("tools/call", {"name": tool, "arguments": {}})):
            async with gate.session.post(endpoint, json=message, headers=_keyed(headers, key)) as reply:
                if reply.status != 202:
                    return _outcome(await reply.json())
            answer = json.loads(await _data(stream))
        return _outcome(answer)


async def stdio(meta: Mapping[str, Any], gate: Gatelodge, headers: Headers, tool: str, key: str | None = None) -> str:
    """A pipe, whose caller's headers stand for what its environment holds."""
    server, output = gate.server, io.BytesIO()
    pipe = Credentials(headers=headers, address=None, trusted_peer=False, door="stdio")
    reader = asyncio.StreamReader()
    keyed = {"gatelodge/idempotency-key": key} if key else {}
    messages = [_request("tools/call", {"name": tool, "arguments": {}, "_meta": {**meta, **keyed}})]
    if not meta:
        messages.insert(0, _initialize("2025-11-25"))
    for message in messages:
        reader.feed_data(json.dumps(message).encode() + b"\n")
    try:
        async with _serving(Stdio(server.protocol(server.hub), replace(server.policy, pipe=pipe), output), reader):
            while output.getvalue().count(b"\n") < len(messages):  # noqa: ASYNC110, a buffer has no event
                await asyncio.sleep(0.01)
    except StartupError as error:
        return error.code
    return _outcome(json.loads(output.getvalue().splitlines()[-1]))


DOORS: Mapping[str, Door] = {
    "rest": partial(plain, "/tools/invoke"),
    "api": partial(plain, "/api/v1/mcp/tools/call"),
    "api_stream": api_stream,
    "own_listener": partial(plain, "/tools/invoke", listener="notes"),
    "plugin_route": plugin_route,
    "stateless": stateless,
    "session_2025_11": partial(session, "2025-11-25"),
    "session_2025_06": partial(session, "2025-06-18"),
    "session_2025_03": partial(session, "2025-03-26"),
    "batch": partial(session, "2025-03-26", batch=True),
    "sse": sse,
    "stdio": partial(stdio, {}),
    "stdio_stateless": partial(stdio, META),
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


async def _data(stream: aiohttp.ClientResponse) -> str:
    """The data of the next event that has some."""
    async with asyncio.timeout(10):
        while not (line := await stream.content.readline()).startswith(b"data:"):
            assert line, "the stream ended"
    return line.removeprefix(b"data:").decode().strip()


def _keyed(headers: Headers, key: str | None) -> Headers:
    return headers if key is None else {**headers, "Idempotency-Key": key}


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
    if result.get("isError"):
        return _code(json.loads(result["content"][0]["text"]))
    return "replayed" if result.get("_meta", {}).get("gatelodge/replayed") else "ok"


def _code(body: Mapping[str, Any]) -> str:
    return str(body["error"]["code"]) if "error" in body else "replayed" if body.get("replayed") else "ok"
