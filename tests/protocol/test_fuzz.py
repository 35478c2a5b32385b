"""Whatever comes to `/mcp`: never a 500, never a hang, and an answer that is JSON-RPC."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatelodge.testing import Gatelodge

from .conftest import Speak
from .schema import STATELESS
from .speaker import ACCEPT, EVERYTHING

pytestmark = pytest.mark.asyncio(loop_scope="session")

GENTLE = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
PREFIX = "io.modelcontextprotocol/"
METHODS = (
    *("initialize", "ping", "server/discover", "logging/setLevel", "completion/complete", "tools/list", "tools/call"),
    *("resources/list", "resources/read", "resources/subscribe", "prompts/list", "prompts/get"),
    *("tasks/get", "tasks/update", "notifications/cancelled", "notifications/initialized", "nothing"),
)
NAMES = ("greet", "test_elicitation", "test_prompt_with_arguments", "test_custom_headers", "confirm_delete", "x")

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
members = {
    "name": st.sampled_from(NAMES) | anything,
    "uri": st.sampled_from(["test://static-text", "test://template/1/data"]) | anything,
    "arguments": st.dictionaries(st.sampled_from(["name", "message", "arg1", "region"]), anything, max_size=3)
    | anything,
    "cursor": anything,
    "level": anything,
    "ref": st.fixed_dictionaries({"type": st.sampled_from(["ref/prompt", "ref/resource"])} | {"name": anything})
    | anything,
    "argument": st.fixed_dictionaries({"name": anything, "value": anything}) | anything,
    "context": anything,
    "inputResponses": st.dictionaries(st.sampled_from(["user", "user_name"]), anything, max_size=2) | anything,
    "requestState": anything,
    "taskId": anything,
    "requestId": anything,
    "protocolVersion": st.sampled_from([STATELESS, "2025-11-25", "x"]) | anything,
    "capabilities": anything,
}
metas = st.fixed_dictionaries(
    {f"{PREFIX}protocolVersion": st.just(STATELESS), f"{PREFIX}clientCapabilities": st.just(EVERYTHING)},
    optional={f"{PREFIX}logLevel": anything, "progressToken": anything, "traceparent": anything},
)
params = st.fixed_dictionaries({}, optional={**members, "_meta": metas | anything}) | anything
messages = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0") | anything, "method": st.sampled_from(METHODS) | anything},
    optional={"id": st.integers(0, 2**31) | st.text(max_size=5) | anything, "params": params, "result": anything},
)
bodies = messages.map(lambda message: json.dumps(message).encode()) | anything.map(
    lambda value: json.dumps(value).encode()
)
header_text = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)


def run(loop: asyncio.AbstractEventLoop, work: Any) -> Any:
    """From the thread that Hypothesis runs in, on the loop that the server runs on."""
    return asyncio.run_coroutine_threadsafe(work, loop).result(timeout=60)


async def attempt(http: aiohttp.ClientSession, url: str, body: bytes, headers: dict[str, str]) -> None:
    """Send it, and check what holds for every answer."""
    own = {"Accept": ACCEPT, "Content-Type": "application/json"} | headers
    async with asyncio.timeout(30), http.post(f"{url}/mcp", data=body, headers=own) as reply:
        assert reply.status < 500, await reply.text()
        if reply.content_type != "application/json":
            return
        text = await reply.text()
        assert "-32603" not in text, text
        assert '\\"internal\\"' not in text, text
        answer = json.loads(text)
        one = answer if isinstance(answer, dict) else answer[0]
        assert one["jsonrpc"] == "2.0"
        assert ("result" in one) != ("error" in one)


async def fuzz(gate: Gatelodge, given_strategy: Any, headers_of: Any) -> None:
    """Hypothesis in a thread of its own, so that the loop is free to serve."""
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession() as http:

        @GENTLE
        @given(given_strategy)
        def attempts(drawn: Any) -> None:
            body, headers = headers_of(drawn)
            run(loop, attempt(http, gate.url, body, headers))

        await asyncio.to_thread(attempts)
    async with gate.session.get(f"{gate.url}/health") as reply:
        assert reply.status == 200


async def test_bytes(gate: Gatelodge) -> None:
    """Bytes of any kind."""
    await fuzz(gate, st.binary(max_size=200), lambda body: (body, {}))


async def test_stateless_messages(gate: Gatelodge) -> None:
    """Messages that are nearly right, with the headers that a proper client would send along."""

    def proper(body: bytes) -> tuple[bytes, dict[str, str]]:
        headers = {"MCP-Protocol-Version": STATELESS}
        message = json.loads(body)
        if isinstance(message, dict) and isinstance(message.get("method"), str) and message["method"].isascii():
            headers["Mcp-Method"] = "".join(c for c in message["method"] if c.isprintable())
            inner = message.get("params")
            name = (
                next((inner[k] for k in ("name", "uri", "taskId") if k in inner), None)
                if isinstance(inner, dict)
                else None
            )
            if isinstance(name, str) and name.isascii() and name.isprintable():
                headers["Mcp-Name"] = name
        return body, headers

    await fuzz(gate, bodies, proper)


async def test_session_messages(gate: Gatelodge, speak: Speak) -> None:
    """The same within a session."""
    client = await speak("2025-11-25", capabilities={})
    headers = {"Mcp-Session-Id": client.session or "", "MCP-Protocol-Version": "2025-11-25"}
    await fuzz(gate, bodies, lambda body: (body, headers))


async def test_headers(gate: Gatelodge) -> None:
    """Headers of any kind on a request that is fine."""
    meta = {f"{PREFIX}protocolVersion": STATELESS, f"{PREFIX}clientCapabilities": {}}
    call = {"name": "test_custom_headers", "arguments": {"region": "eu"}, "_meta": meta}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}).encode()
    names = ["MCP-Protocol-Version", "Mcp-Method", "Mcp-Name", "Mcp-Param-Region", "Mcp-Session-Id", "Last-Event-ID"]
    names += ["Accept", "Content-Type", "Origin", "traceparent", "Idempotency-Key"]
    drawn = st.dictionaries(st.sampled_from(names), header_text, max_size=5)
    await fuzz(gate, drawn, lambda headers: (body, headers))


async def test_a_body_that_is_too_large_or_too_deep(gate: Gatelodge) -> None:
    """413 for the size, 400 for the depth."""
    async with gate.session.post(f"{gate.url}/mcp", data=io.BytesIO(b"[" * 2_000_000)) as reply:
        assert reply.status == 413
    for body in (b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 1000 + b"1" + b"}" * 1000):
        async with gate.session.post(f"{gate.url}/mcp", data=body) as reply:
            assert reply.status == 400
