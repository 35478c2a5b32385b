"""The official TypeScript client, on Node from a wheel, calls all fourteen tools over every door."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import World
from .driver import typescript
from .walk import TOOLS, walk


@pytest.mark.parametrize("mode", ["legacy", "auto"])
@pytest.mark.parametrize("door", ["http", "sse", "stdio"])
async def test_all_tools(world: World, node_packages: Path, door: str, mode: str) -> None:
    """Over Streamable HTTP, HTTP+SSE and stdio, by the initialize handshake and by negotiation."""
    command, args, env = world.stdio
    path = "/sse" if door == "sse" else "/mcp"
    setup = {"door": door, "url": world.gate.url + path, "command": command, "args": args, "env": env, "mode": mode}
    async with typescript(node_packages) as client:
        assert "thrown" not in await client.ask(setup)
        assert set((await client.do("tools"))["tools"]) == TOOLS
        await walk(client.call, world)
