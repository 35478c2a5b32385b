"""Whatever comes to the other doors, or to all of them for long: no 500, no hang, no nameless log line, no memory that grows."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatelodge.logs import _formatter
from gatelodge.testing import Gatelodge

from .pipes import Client, SSEWire, StdioWire, call, opened
from .schema import STATELESS
from .speaker import ACCEPT
from .test_fuzz import GENTLE, NAMES, anything, bodies, header_text, run

pytestmark = pytest.mark.asyncio(loop_scope="session")

API = "/api/v1/mcp"
POSTS = ("/tools/invoke", f"{API}/tools/call", f"{API}/tools/stream", f"{API}/session/handshake", "/query")
GETS = ("/tools", "/templates", "/metrics", "/health/ready", f"{API}/resources/list", f"{API}/prompts/list", "/sse/x")
TEMPLATES = ("search_issues_by_text", "get_user_workload", "x")
HEADERS = (
    *("Content-Type", "Content-Encoding", "Accept", "Origin", "traceparent", "Idempotency-Key", "X-Request-Id"),
    *("X-Tenant-ID", "X-User-ID", "X-Forwarded-For", "Range", "Expect", "Accept-Encoding"),
)
named = st.fixed_dictionaries(
    {"name": st.sampled_from(NAMES) | anything},
    optional={"arguments": st.dictionaries(st.sampled_from(["name", "message"]), anything) | anything, "x": anything},
)
queried = st.fixed_dictionaries(
    {"template_name": st.sampled_from(TEMPLATES) | anything},
    optional={
        "params": st.dictionaries(st.sampled_from(["query", "project_keys", "assignee", "limit"]), anything) | anything
    },
)
rest_bodies = (named | queried | anything).map(lambda value: json.dumps(value).encode()) | st.binary(max_size=100)
headers = st.dictionaries(st.sampled_from(HEADERS), header_text, max_size=3)


class Lines(logging.Handler):
    """The server's log as it would be written, and the lines that cannot be traced to a request."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.setFormatter(_formatter(console=False))
        self.nameless: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record)
        if record.name.startswith("gatelodge") and not json.loads(line).get("request_id"):
            self.nameless.append(line)


@pytest.fixture(autouse=True)
def lines() -> Iterator[Lines]:
    """No test here may leave a line that names no request."""
    handler = Lines()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)
    assert handler.nameless == []


async def drawn(strategy: Any, attempt: Callable[[Any], Any]) -> None:
    """Hypothesis in a thread of its own, so that the loop is free to serve."""
    loop = asyncio.get_running_loop()

    @GENTLE
    @given(strategy)
    def attempts(value: Any) -> None:
        run(loop, attempt(value))

    await asyncio.to_thread(attempts)


async def check(reply: aiohttp.ClientResponse) -> None:
    """What holds for every reply of a plain door."""
    text = await reply.text()
    assert reply.status < 500, text
    if reply.status == 417:
        return  # of an Expect that is unknown: aiohttp answers before any of our code sees the request
    assert reply.headers["X-Request-Id"]
    if reply.status >= 400:
        assert json.loads(text)["error"]["request_id"] == reply.headers["X-Request-Id"]
    assert '"internal"' not in text


async def test_plain_doors(gate: Gatelodge) -> None:
    """Any body under any headers at any of the plain doors; a refusal says under which id it is in the log."""

    async def attempt(value: tuple[str, bytes, dict[str, str]]) -> None:
        path, body, own = value
        async with asyncio.timeout(30), gate.session.post(gate.url + path, data=body, headers=own) as reply:
            await check(reply)

    await drawn(st.tuples(st.sampled_from(POSTS), rest_bodies, headers), attempt)


async def test_paths_and_queries(gate: Gatelodge) -> None:
    """Any query, method and headers, at paths that are there and at such that are not."""
    methods = st.sampled_from(["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
    paths = st.sampled_from(GETS) | st.text(max_size=20).map(lambda text: f"/{text.encode('utf8', 'replace').hex()}")
    queries = st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), header_text, max_size=3)

    async def attempt(value: tuple[str, str, dict[str, str], dict[str, str]]) -> None:
        method, path, query, own = value
        sent = gate.session.request(method, gate.url + path, params=query, headers=own)
        async with asyncio.timeout(30), sent as reply:
            assert reply.status < 500, await reply.text()

    await drawn(st.tuples(methods, paths, queries, headers), attempt)


async def drained(wire: SSEWire | StdioWire) -> AsyncIterator[dict[str, Any]]:
    while True:
        yield await wire.receive()


async def test_messages_of_a_stream(gate: Gatelodge) -> None:
    """Any body to `/messages`: it is taken or refused there, and what comes down the stream is JSON-RPC without a 500 in it."""
    async with opened(gate, "sse") as client:
        wire = client._wire
        assert isinstance(wire, SSEWire)

        async def attempt(body: bytes) -> None:
            async with asyncio.timeout(30), gate.session.post(wire._url, data=body) as reply:
                assert reply.status < 500, await reply.text()

        await drawn(bodies | st.binary(max_size=100), attempt)
        await still_answers(client)


async def test_lines_on_stdio(gate: Gatelodge) -> None:
    """Any line: nothing but JSON-RPC comes back, and the next line is read all the same."""
    async with opened(gate, "stdio") as client:
        wire = client._wire
        assert isinstance(wire, StdioWire)

        async def attempt(body: bytes) -> None:
            wire.reader.feed_data(body.replace(b"\n", b" ") + b"\n")

        await drawn(bodies | st.binary(max_size=100), attempt)
        await still_answers(client)


async def still_answers(client: Client) -> None:
    """What was answered meanwhile is well formed; a request that is right gets its answer."""
    id = await client.begin("tools/call", call("greet", name="Ada"))
    async with asyncio.timeout(60):
        async for message in drained(client._wire):  # type: ignore[arg-type]
            assert message["jsonrpc"] == "2.0"
            assert message.get("error", {}).get("code") != -32603, message
            if message.get("id") == id and "Hello, Ada!" in json.dumps(message):
                return


async def test_names_that_nobody_knows_take_no_memory(gate: Gatelodge) -> None:
    """A tool, path, session, key, tenant or id that is made up anew each time leaves nothing behind."""
    numbers = itertools.count()

    async def round_of(times: int) -> int:
        for _ in range(times):
            await strange(gate, f"strange-{next(numbers)}")
        await asyncio.sleep(0.5)  # records are written in batches
        gc.collect()
        return len(gc.get_objects())

    await round_of(60)
    before = await round_of(60)
    after = await round_of(200)
    assert after - before < 400, "each strange name has left at least two objects"


async def strange(gate: Gatelodge, name: str) -> None:
    """One name in every place that takes one."""
    meta = {"io.modelcontextprotocol/protocolVersion": STATELESS, "io.modelcontextprotocol/clientCapabilities": {}}
    params = {"name": name, "arguments": {name: name}, "_meta": meta | {"progressToken": name}}
    message = {"jsonrpc": "2.0", "id": name, "method": "tools/call", "params": params}
    own = {"MCP-Protocol-Version": STATELESS, "Mcp-Method": "tools/call", "Mcp-Name": name, "Accept": ACCEPT}
    invoked = {"name": "greet", "arguments": {"name": name}}
    requests = [
        ("POST", "/mcp", message, own),
        ("POST", "/mcp", {"jsonrpc": "2.0", "id": 1, "method": name}, {"Mcp-Session-Id": name}),
        ("POST", f"/messages?session_id={name}", message, {}),
        ("POST", "/tools/invoke", {"name": name}, {"Idempotency-Key": name}),
        ("POST", "/tools/invoke", invoked, {"traceparent": name, "User-Agent": name}),
        ("GET", f"/{name}?{name}={name}", None, {"Origin": f"http://{name}.example"}),
    ]
    for method, path, body, own in requests:
        async with gate.session.request(method, gate.url + path, json=body, headers=own) as reply:
            await reply.read()
            assert reply.status < 500
