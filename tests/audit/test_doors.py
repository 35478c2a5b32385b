"""A whole server: a key given in any way is one key, refusals at the door are heard, health knows the audit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import aiohttp
import pytest

from gatelodge import Tool, hookimpl
from gatelodge.audit.journal import NOBODY
from gatelodge.storage.postgres import create_pool
from gatelodge.switches.store import store
from gatelodge.testing import Gatelodge, OpenGatelodge

from ..governed import CounterTools, Upstream, rows, until


class CounterPlugin:
    """The counter's tools, as a third party would bring them."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._tools = CounterTools(url, session)

    @hookimpl
    def gatelodge_tools(self) -> Sequence[Tool]:
        return self._tools.tools()


@pytest.fixture
async def server(open_gatelodge: OpenGatelodge, upstream: Upstream) -> AsyncIterator[Gatelodge]:
    async with aiohttp.ClientSession() as session:
        yield await open_gatelodge(("counter", CounterPlugin(upstream.url, session)))


async def post(server: Gatelodge, path: str, body: Any, **headers: str) -> tuple[int, Any]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with server.session.post(server.url + path, json=body, headers=sent) as reply:
        return reply.status, await reply.json()


async def test_a_key_is_one_key_however_it_comes(server: Gatelodge, upstream: Upstream) -> None:
    """By header, argument, `_meta` or alias name, over REST and MCP: one effect, and the others are replays."""
    call = {"name": "counter.add", "arguments": {"name": "a"}}
    alias = call | {"name": "counter_add"}
    argument = {"name": "counter.add", "arguments": {"name": "a", "idempotency_key": "k"}}
    meta = call | {"_meta": {"gatelodge/idempotency-key": "k"}}
    first = await post(server, "/tools/invoke", call, Idempotency_Key="k")
    answers = [
        await post(server, "/tools/invoke", alias, Idempotency_Key="k"),
        await post(server, "/tools/invoke", argument),
        await post(server, "/api/v1/mcp/tools/call", call, Idempotency_Key="k"),
        await mcp(server, call, Idempotency_Key="k"),
        await mcp(server, alias, Idempotency_Key="k"),
        await mcp(server, argument),
        await mcp(server, meta),
    ]
    assert upstream.effects == ["a"]
    assert [status for status, _ in (first, *answers)] == [200] * 8
    assert [answer["result"]["structuredContent"] for _, answer in answers[3:]] == [{"number": 1}] * 4


async def mcp(server: Gatelodge, params: dict[str, Any], **headers: str) -> tuple[int, Any]:
    """`tools/call` over Streamable HTTP, in a session."""
    kind = {"Accept": "application/json, text/event-stream"}
    client = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    begin = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": client}
    async with server.session.post(server.url + "/mcp", json=begin, headers=kind) as reply:
        kind["Mcp-Session-Id"] = reply.headers["Mcp-Session-Id"]
    message = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params}
    return await post(server, "/mcp", message, **kind, **headers)


async def test_messages_of_a_batch_have_rows_of_their_own(server: Gatelodge, upstream: Upstream, database: str) -> None:
    """Their ids begin with that of the request, and tie each intent to its own outcome."""
    kind = {"Accept": "application/json, text/event-stream"}
    client = {"protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    begin = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": client}
    async with server.session.post(server.url + "/mcp", json=begin, headers=kind) as reply:
        kind["Mcp-Session-Id"] = reply.headers["Mcp-Session-Id"]
    calls = [{"name": "counter.add", "arguments": {"name": name}} for name in "ab"]
    batch = [{"jsonrpc": "2.0", "id": n, "method": "tools/call", "params": call} for n, call in enumerate(calls)]
    async with server.session.post(server.url + "/mcp", json=batch, headers=kind) as reply:
        assert len(await reply.json()) == 2
        id = reply.headers["X-Request-Id"]
    written = [(row["request_id"], row["kind"]) for row in await rows(database)]
    assert written == [(f"{id}-{n}", kind) for n in (1, 2) for kind in ("intent", "outcome")]
    assert upstream.effects == ["a", "b"]


async def test_a_key_with_other_arguments_is_422(server: Gatelodge) -> None:
    """The REST doors say it by their status too."""
    await post(server, "/tools/invoke", {"name": "counter.add", "arguments": {"name": "a"}}, Idempotency_Key="k")
    status, body = await post(
        server, "/tools/invoke", {"name": "counter.add", "arguments": {"name": "b"}}, Idempotency_Key="k"
    )
    assert (status, body["error"]["code"]) == (422, "conflict")


async def test_a_write_outlives_the_switch(server: Gatelodge, upstream: Upstream, database: str) -> None:
    """Switched off while it is under way, a write goes on to its answer and its row; the next call is refused."""
    held = {"name": "counter.add", "arguments": {"name": "a", "mode": "hold"}}
    call = asyncio.create_task(post(server, "/tools/invoke", held, Idempotency_Key="k"))
    await upstream.reached.wait()
    switches = server.server.policy.switches
    async with await create_pool(database, max_size=1) as pool:
        await store(pool, switches, {"mcp_enabled": False}, by="test")
    await until(lambda: not switches.get("mcp_enabled"))
    assert (await post(server, "/tools/invoke", held, Idempotency_Key="k"))[0] == 503
    upstream.released.set()
    assert (await call)[0] == 200
    written = [(row["kind"], row["outcome"]) for row in await rows(database) if row["tool"] == "counter.add"]
    assert written == [("intent", None), ("outcome", "ok")]


async def test_a_refusal_at_the_door_is_written_down(server: Gatelodge, database: str) -> None:
    """Credentials that nobody knows leave a row with the caller's address, and not a word of the credentials."""
    status, _ = await post(server, "/tools/invoke", {}, Authorization="Bearer glk_canary_canary_canary")
    assert status == 401

    async def written() -> bool:
        return bool(await rows(database, NOBODY))

    await until(written)
    (row,) = await rows(database, NOBODY)
    assert (row["action"], row["outcome"], str(row["address"])) == ("authentication", "unauthorized", "127.0.0.1")
    assert "canary" not in str(dict(row))


async def test_health_knows_the_audit(server: Gatelodge) -> None:
    """Readiness shows the writer's state."""
    async with server.session.get(server.url + "/health/ready") as reply:
        checks = {check["name"]: check for check in (await reply.json())["checks"]}
    assert checks["audit"]["status"] == "ok"
    assert checks["audit"]["critical"]
