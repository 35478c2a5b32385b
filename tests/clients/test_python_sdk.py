"""The official Python client, in each mode and over every door, calls all fourteen tools and gets right answers."""

from __future__ import annotations

import json
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client

from .conftest import World
from .walk import TOOLS, walk

MODES = ["auto", "2026-07-28", "legacy"]


async def use(client: AbstractAsyncContextManager[Client], world: World, version: str) -> None:
    """Connect, list, and walk the story."""
    async with client as connected:
        assert connected.protocol_version == version
        assert {tool.name for tool in (await connected.list_tools()).tools} == TOOLS

        async def call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
            result = await connected.call_tool(name, arguments)
            assert not result.is_error, result.content
            assert result.structured_content == json.loads(result.content[0].text)
            return dict(result.structured_content)

        await walk(call, world)


@pytest.mark.parametrize("mode", MODES)
async def test_streamable_http(world: World, mode: str) -> None:
    """Over /mcp, negotiating by itself, pinned to the stateless revision, or by the initialize handshake."""
    version = "2025-11-25" if mode == "legacy" else "2026-07-28"
    await use(Client(f"{world.gate.url}/mcp", mode=mode), world, version)


async def test_http_with_server_sent_events(world: World) -> None:
    """Over /sse, the transport of 2024-11-05."""
    await use(Client(sse_client(f"{world.gate.url}/sse"), mode="legacy"), world, "2025-11-25")


@pytest.mark.parametrize("mode", MODES)
async def test_stdio(world: World, mode: str) -> None:
    """As a subprocess on stdin and stdout."""
    command, args, env = world.stdio
    version = "2025-11-25" if mode == "legacy" else "2026-07-28"
    await use(Client(StdioServerParameters(command=command, args=args, env=env), mode=mode), world, version)


@pytest.mark.parametrize(("listener", "prefix"), [("jira", "jira."), ("sql", "sql.")])
async def test_a_listener_of_its_own_serves_one_plugin(world: World, listener: str, prefix: str) -> None:
    """The Jira and the SQL listener list the tools of their plugin and no other."""
    async with Client(f"{world.gate.urls[listener]}/mcp") as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
    assert names == {name for name in TOOLS if name.startswith(prefix)}


async def test_every_tool_tells_a_model_what_it_needs(world: World) -> None:
    """Each tool has a title, a description with an example, both schemas, and hints."""
    async with Client(f"{world.gate.url}/mcp") as client:
        for tool in (await client.list_tools()).tools:
            assert tool.title
            assert "xample" in tool.description
            assert tool.output_schema
            assert tool.input_schema["additionalProperties"] is False
            assert tool.annotations.read_only_hint is not None


async def test_a_failing_call_is_a_result_that_the_model_can_read(world: World) -> None:
    """An unknown argument, a wrong value and a missing issue come back as isError with code and field."""
    async with Client(f"{world.gate.url}/mcp") as client:
        wrong = await client.call_tool("jira.get_issue", {"issue_key": "pay-1", "expnd": []})
        missing = await client.call_tool("jira.get_issue", {"issue_key": "PAY-99999"})
    assert wrong.is_error
    error = json.loads(wrong.content[0].text)["error"]
    assert error["code"] == "validation_error"
    assert set(error["details"]["fields"]) == {"issue_key", "expnd"}
    assert json.loads(missing.content[0].text)["error"]["code"] == "not_found"
