"""Over every door with HTTP headers the limits look the same."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from marshmallow import Schema
from mcp import Client

from gatelodge import READ, Call, Resource, Result, TextContents, Tool, ToolError, hookimpl
from gatelodge.limiter.settings import RateLimitSettings, limit_switches
from gatelodge.storage.postgres import create_pool
from gatelodge.switches import Switches
from gatelodge.switches.store import store
from gatelodge.testing import Gatelodge, OpenGatelodge
from gatelodge_jira.sandbox import INSTANCE

from ..policed import answer

STATELESS = "2026-07-28"
SESSION = "2025-11-25"
META = {
    "io.modelcontextprotocol/protocolVersion": STATELESS,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
}
ACCEPT = {"Accept": "application/json, text/event-stream"}


class NoArguments(Schema):
    pass


class DemoPlugin:
    @hookimpl
    def gatelodge_tools(self) -> Sequence[Tool]:
        named = {"name": "demo.read", "title": "Read", "description": "Reads."}
        return (Tool(**named, input=NoArguments, handler=answer, annotations=READ),)

    @hookimpl
    def gatelodge_resources(self) -> Sequence[Resource]:
        return (Resource(uri="demo://page", name="page", title="Page", description="A page.", handler=page),)


async def page(call: Call) -> Result:
    return Result(content=(TextContents("demo://page", "hello"),))


async def rest(gate: Gatelodge) -> tuple[int, Mapping[str, str], Any]:
    async with gate.session.post(f"{gate.url}/tools/invoke", json={"name": "demo.read"}) as reply:
        return reply.status, reply.headers, (await reply.json()).get("error")


async def stateless(gate: Gatelodge) -> tuple[int, Mapping[str, str], Any]:
    headers = {"MCP-Protocol-Version": STATELESS, "Mcp-Method": "tools/call", "Mcp-Name": "demo.read"}
    return await call_over_mcp(gate, {"_meta": META}, headers)


async def in_session(gate: Gatelodge) -> tuple[int, Mapping[str, str], Any]:
    """In a session of its own."""
    params = {"protocolVersion": SESSION, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    body = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
    async with gate.session.post(f"{gate.url}/mcp", json=body, headers=ACCEPT) as reply:
        session_id = reply.headers["Mcp-Session-Id"]
    return await call_over_mcp(gate, {}, {"MCP-Protocol-Version": SESSION, "Mcp-Session-Id": session_id})


async def call_over_mcp(
    gate: Gatelodge, params: Mapping[str, Any], headers: Mapping[str, str]
) -> tuple[int, Mapping[str, str], Any]:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "demo.read", **params}}
    async with gate.session.post(f"{gate.url}/mcp", json=body, headers={**ACCEPT, **headers}) as reply:
        result = (await reply.json())["result"]
        error = json.loads(result["content"][0]["text"])["error"] if result.get("isError") else None
        return reply.status, reply.headers, error


@pytest.mark.parametrize(
    ("door", "status"), [(rest, 429), (stateless, 200), (in_session, 200)], ids=["rest", "stateless", "session"]
)
async def test_limits_look_the_same_over_every_door(open_gatelodge: OpenGatelodge, door: Any, status: int) -> None:
    """Headers on what passes and what does not; a refusal is a 429, or over MCP a result that the model can read."""
    gate = await open_gatelodge(("demo", DemoPlugin), GATELODGE_RATE_LIMIT_USER="2/day")
    replies = [await door(gate) for _ in range(3)]
    assert [reply[0] for reply in replies] == [200, 200, status]
    assert {headers["RateLimit-Policy"] for _, headers, _ in replies} == {'"user-day";q=2;w=86400'}
    assert [headers["RateLimit"][:14] for _, headers, _ in replies] == [f'"user-day";r={left}' for left in (1, 0, 0)]
    _, headers, error = replies[-1]
    assert (error["code"], error["details"]["policy"]) == ("rate_limited", "user-day")
    assert int(headers["Retry-After"]) >= error["retry_after"] > 40_000
    assert [error for _, _, error in replies[:2]] == [None, None]


async def test_reading_a_resource_counts_too(open_gatelodge: OpenGatelodge) -> None:
    """For the limits a user has over everything."""
    gate = await open_gatelodge(("demo", DemoPlugin), GATELODGE_RATE_LIMIT_USER="1/day")
    await gate.call("demo.read")
    body = {"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": {"uri": "demo://page", "_meta": META}}
    headers = {"MCP-Protocol-Version": STATELESS, "Mcp-Method": "resources/read", "Mcp-Name": "demo://page"}
    async with gate.session.post(f"{gate.url}/mcp", json=body, headers={**ACCEPT, **headers}) as reply:
        assert (await reply.json())["error"]["data"]["code"] == "rate_limited"
        assert int(reply.headers["Retry-After"]) > 80_000


async def test_no_way_to_a_jira_has_a_limit_of_its_own(open_gatelodge: OpenGatelodge) -> None:
    """Named or not, by a tool or as a resource: all of it counts for the one instance that it reaches."""
    gate = await open_gatelodge(RATE_LIMIT_DEFAULT="3", RATE_LIMIT_WINDOW="86400", GATELODGE_RATE_LIMIT_USER="off")
    await gate.call("jira.search", query="project = PAY")
    await gate.call("jira.search", query="project = PAY", instance_id=INSTANCE)
    read = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "resources/read",
        "params": {"uri": "jira://issue/PAY-1", "_meta": META},
    }
    named = {"MCP-Protocol-Version": STATELESS, "Mcp-Method": "resources/read", "Mcp-Name": "jira://issue/PAY-1"}
    for answered in (True, False):
        async with gate.session.post(f"{gate.url}/mcp", json=read, headers={**ACCEPT, **named}) as reply:
            assert ("result" in await reply.json()) == answered
            assert reply.headers["RateLimit-Policy"] == '"instance-day";q=3;w=86400'
    for arguments in ({}, {"instance_id": INSTANCE}):
        with pytest.raises(ToolError, match="The limit of 3 calls"):
            await gate.call("jira.search", query="project = PAY", **arguments)
    with pytest.raises(ToolError, match="There is no instance 'other'"):
        await gate.call("jira.search", query="project = PAY", instance_id="other")


async def test_health_tells_of_limits_and_cache(open_gatelodge: OpenGatelodge, valkey: str) -> None:
    """Each with where it keeps things and what it has counted."""
    gate = await open_gatelodge(("demo", DemoPlugin), REDIS_URL=valkey)
    for _ in range(2):
        await gate.call("demo.read")
    async with gate.session.get(f"{gate.url}/health/ready") as reply:
        checks = {check["name"]: check for check in (await reply.json())["checks"]}
    assert checks["rate_limits"]["detail"] == "in Redis; allowed 2"
    assert checks["cache"]["detail"] == "in Redis; hits 1, misses 1"
    assert checks["concurrency"]["detail"] == "0 running, 0 refused"


async def test_what_is_kept_says_how_old_it_is(open_gatelodge: OpenGatelodge) -> None:
    """The `Age` header, over MCP too."""
    gate = await open_gatelodge(("demo", DemoPlugin))
    replies = [await door(gate) for door in (rest, rest, stateless)]
    assert ["Age" in headers for _, headers, _ in replies] == [False, True, True]


async def test_official_client_survives_a_refusal(open_gatelodge: OpenGatelodge) -> None:
    """It shows the model what it may do about it."""
    gate = await open_gatelodge(("demo", DemoPlugin), GATELODGE_RATE_LIMIT_USER="1/day")
    async with Client(f"{gate.url}/mcp") as client:
        first, second = [await client.call_tool("demo.read", {}) for _ in range(2)]
    assert (first.is_error, second.is_error) == (False, True)
    assert '"rate_limited"' in second.content[0].text


async def test_arguments_may_not_nest_without_end(open_gatelodge: OpenGatelodge) -> None:
    """Over REST as over MCP a value that is too deep is refused before anything walks it."""
    gate = await open_gatelodge(("demo", DemoPlugin))
    body = '{"name": "demo.read", "arguments": {"a": ' + "[" * 200 + "]" * 200 + "}}"
    async with gate.session.post(f"{gate.url}/tools/invoke", data=body) as reply:
        assert reply.status == 400
        assert (await reply.json())["error"]["message"] == "The body nests deeper than 64 levels."


async def test_policies_stand_in_their_order(open_gatelodge: OpenGatelodge) -> None:
    """What is too much at once is refused uncounted; what is kept was validated, counted and written down."""
    gate = await open_gatelodge(("demo", DemoPlugin))
    names = [item.name for item in gate.server.catalogue.middleware]
    ours = ("audit", "validation", "concurrency", "rate_limits", "idempotency", "intent", "cache", "deadline")
    assert [name for name in names if name in ours] == list(ours)
    assert names.index("cache") < names.index("result_size")


async def test_a_limit_set_in_the_database_reaches_the_server(open_gatelodge: OpenGatelodge, database: str) -> None:
    """While it runs; a limit that does not fit is refused where it is set."""
    gate = await open_gatelodge(("demo", DemoPlugin))
    switches = Switches(limit_switches(RateLimitSettings()))
    async with await create_pool(database, max_size=1) as pool:
        with pytest.raises(ToolError, match="is not like 100/minute"):
            await store(pool, switches, {"rate_limits": {"user": "many"}}, by="test")
        await store(pool, switches, {"rate_limits": {"user": "3/day"}}, by="test")
    async with asyncio.timeout(10):
        while (await rest(gate))[1]["RateLimit-Policy"] != '"user-day";q=3;w=86400':  # noqa: ASYNC110 - the change tells nobody
            await asyncio.sleep(0.05)
